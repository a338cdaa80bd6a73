// One step of a whole model: rows alone and together, on several threads, and wrong batches.
#include "model.h"

#include <cstring>
#include <memory>
#include <string>

#include "check.h"
#include "weights.h"

using namespace quipu;

namespace {

constexpr Shape shape = {64, 2, 4, 2, 16, 96, 75, 1e-5f};
constexpr int32_t page_size = 16, num_pages = 24, width = 6;

// Weights of one format; matrices [O, I] of small bell-shaped numbers.
struct Made {
  explicit Made(Format format_) : format(format_) {}

  Matrix matrix(int32_t outputs, int32_t inputs) {
    const size_t count = static_cast<size_t>(outputs) * static_cast<size_t>(inputs);
    std::vector<float> plain = random.bells(count);
    for (float& x : plain) x *= 0.1f;
    auto values = std::make_unique<std::vector<uint8_t>>(value_bytes(format, outputs, inputs) + 64);
    auto scales = std::make_unique<std::vector<uint16_t>>(count / group_inputs + 16 * 64);
    uint8_t* place = values->data() + (64 - reinterpret_cast<uintptr_t>(values->data()) % 64) % 64;
    std::vector<int8_t> integers(count);
    std::vector<uint16_t> row_scales(count / group_inputs);
    quantise(format, plain.data(), outputs, inputs, integers.data(), row_scales.data());
    pack_integers(format, integers.data(), row_scales.data(), outputs, inputs, place,
                  scales->data());
    const Matrix out = {format, outputs, inputs, place, scales->data()};
    kept_values.push_back(std::move(values));
    kept_scales.push_back(std::move(scales));
    return out;
  }

  const float* ones() {
    kept_norms.push_back(std::make_unique<std::vector<float>>(shape.dim, 1.0f));
    return kept_norms.back()->data();
  }

  Format format;
  Random random{5};
  std::vector<std::unique_ptr<std::vector<uint8_t>>> kept_values;
  std::vector<std::unique_ptr<std::vector<uint16_t>>> kept_scales;
  std::vector<std::unique_ptr<std::vector<float>>> kept_norms;
};

Weights weights_of(Made& made) {
  const int32_t query = shape.heads * shape.head_size, key = shape.kv_heads * shape.head_size;
  Weights out;
  out.embedding = made.matrix(shape.vocab, shape.dim);
  for (int32_t i = 0; i < shape.layers; ++i) {
    Layer layer;
    layer.attention_norm = made.ones();
    layer.wq = made.matrix(query, shape.dim);
    layer.wk = made.matrix(key, shape.dim);
    layer.wv = made.matrix(key, shape.dim);
    layer.wo = made.matrix(shape.dim, query);
    layer.ffn_norm = made.ones();
    layer.w1 = made.matrix(shape.ffn, shape.dim);
    layer.w3 = made.matrix(shape.ffn, shape.dim);
    layer.w2 = made.matrix(shape.dim, shape.ffn);
    out.layers.push_back(layer);
  }
  out.norm = made.ones();
  out.output = out.embedding;
  return out;
}

std::unique_ptr<Model> model_of(const Kernels& kernels, const Weights& weights, KvFormat format,
                                int threads) {
  std::vector<float> frequency;
  for (int32_t e = 0; e < shape.head_size / 2; ++e)
    frequency.push_back(std::pow(1e4f, -2.0f * static_cast<float>(e) / shape.head_size));
  auto model = std::make_unique<Model>(shape, Rotary{frequency, 1}, Memory{format, page_size,
                                       num_pages}, kernels, threads);
  model->weights = weights;
  return model;
}

struct Part {
  int32_t sequence, first, last;  // tokens of a sequence
};

// Owns the arrays of a batch; sequence s holds pages s * width ..
struct Owned {
  explicit Owned(const std::vector<Part>& parts) {
    starts.push_back(0);
    for (const Part& part : parts) {
      for (int32_t t = part.first; t < part.last; ++t) {
        tokens.push_back((t * 7 + part.sequence * 31) % shape.vocab);
        positions.push_back(t);
        select.push_back(static_cast<int32_t>(select.size()));
      }
      starts.push_back(static_cast<int32_t>(tokens.size()));
      contexts.push_back(part.last);
      for (int32_t p = 0; p < width; ++p) pages.push_back(part.sequence * width + p);
    }
  }

  Batch batch() const {
    return {tokens.data(),
            positions.data(),
            starts.data(),
            contexts.data(),
            pages.data(),
            select.data(),
            static_cast<int32_t>(tokens.size()),
            static_cast<int32_t>(contexts.size()),
            width,
            static_cast<int32_t>(select.size())};
  }

  std::vector<int32_t> tokens, positions, starts, contexts, pages, select;
};

std::vector<float> logits_of(Model& model, const std::vector<Part>& parts) {
  const Owned owned(parts);
  std::vector<float> logits(owned.tokens.size() * shape.vocab);
  std::vector<int32_t> best(owned.tokens.size());
  const Error error = model.step(owned.batch(), shape.vocab, logits.data(), best.data());
  if (error != ok) std::printf("%s\n", error);
  CHECK(error == ok);
  for (size_t row = 0; row < best.size(); ++row) {
    const float* of = logits.data() + row * shape.vocab;
    for (int32_t v = 0; v < shape.vocab; ++v) CHECK(of[v] <= of[best[row]]);
  }
  return logits;
}

bool same(const std::vector<float>& whole, int32_t row, const float* found, int32_t rows) {
  const size_t bytes = static_cast<size_t>(rows) * shape.vocab * sizeof(float);
  return std::memcmp(whole.data() + size_t{static_cast<uint32_t>(row)} * shape.vocab, found,
                     bytes) == 0;
}

// Chunks, neighbours and threads change no bit of a row.
void test_rows_stand_alone(const Kernels& kernels, Format format, KvFormat kv) {
  Made made(format);
  const Weights weights = weights_of(made);
  const auto first = model_of(kernels, weights, kv, 1), second = model_of(kernels, weights, kv, 3);
  const std::vector<float> a = logits_of(*first, {{0, 0, 70}}), b = logits_of(*first, {{1, 0, 41}});
  std::vector<float> found = logits_of(*second, {{0, 0, 33}, {1, 0, 40}});
  CHECK(same(a, 0, found.data(), 33));
  CHECK(same(b, 0, found.data() + 33 * shape.vocab, 40));
  found = logits_of(*second, {{1, 40, 41}, {0, 33, 34}});
  CHECK(same(b, 40, found.data(), 1));
  CHECK(same(a, 33, found.data() + shape.vocab, 1));
  found = logits_of(*second, {{0, 34, 70}});
  CHECK(same(a, 34, found.data(), 36));
}

// The layers of `layer` are those of `step`.
void test_layers_one_by_one(const Kernels& kernels) {
  Made made(Format::int8);
  const auto model = model_of(kernels, weights_of(made), KvFormat::bf16, 2);
  const std::vector<float> whole = logits_of(*model, {{0, 0, 20}});
  const Owned owned({{0, 0, 20}});
  std::vector<float> x(20 * shape.dim), d(20 * shape.dim), q(20 * 64), g(x.size());
  std::vector<float> f(20 * shape.ffn);
  CHECK(model->embed(owned.tokens.data(), 20, x.data()) == ok);
  for (int32_t i = 0; i < shape.layers; ++i)
    CHECK(model->layer(i, 20, x.data(), {d.data(), q.data(), g.data(), f.data()}) == ok);
  CHECK(model->layer(shape.layers, 20, x.data(), {d.data(), q.data(), g.data(), f.data()}) != ok);
  double square = 0, dot = 0;
  for (size_t i = 0; i < static_cast<size_t>(shape.dim); ++i) square += double{x[i]} * x[i];
  for (int32_t i = 0; i < shape.dim; ++i)
    dot += x[static_cast<size_t>(i)] / std::sqrt(square / shape.dim + 1e-5) *
           weight_at(model->weights.output, 3, i);
  CHECK(std::fabs(dot - whole[3]) < 0.05);  // activations there are rounded to 7 bits
}

void expect_refused(Model& model, Owned owned, const char* what) {
  std::vector<float> logits(256 * shape.vocab);
  std::vector<int32_t> best(256);
  if (model.step(owned.batch(), shape.vocab, logits.data(), best.data()) != ok) return;
  std::printf("taken: %s\n", what);
  ++failures;
}

void test_wrong_batches_are_refused(const Kernels& kernels) {
  Made made(Format::int4);
  const auto model = model_of(kernels, weights_of(made), KvFormat::bf16, 1);
  const auto refused = [&](const char* what, const auto& spoil) {
    Owned owned({{0, 3, 20}, {1, 0, 5}});
    spoil(owned);
    expect_refused(*model, owned, what);
  };
  refused("token", [](Owned& o) { o.tokens[4] = shape.vocab; });
  refused("negative token", [](Owned& o) { o.tokens[0] = -1; });
  refused("position", [](Owned& o) { o.positions[2] = 99; });
  refused("page", [](Owned& o) { o.pages[1] = num_pages; });
  refused("no page", [](Owned& o) { o.pages[0] = -1; });
  refused("long context", [](Owned& o) { o.contexts[0] = 100000; });
  refused("short context", [](Owned& o) { o.contexts[0] = 5; });
  refused("starts", [](Owned& o) { o.starts[1] = 0; });
  refused("last start", [](Owned& o) { o.starts[2] = 7; });
  refused("starts beyond", [](Owned& o) { o.starts[1] = o.contexts[0] = 90; });
  refused("select", [](Owned& o) { o.select[3] = 400; });
  refused("select falls", [](Owned& o) { o.select[3] = 1; });
  model->weights.layers[1].w2.inputs = 32;
  expect_refused(*model, Owned({{0, 0, 4}}), "a misshapen weight");
  model->weights.layers[1].w2.values = nullptr;
  expect_refused(*model, Owned({{0, 0, 4}}), "a missing weight");
}

}  // namespace

int main() {
  for (const Kernels* kernels : available_kernels()) {
    for (const Format format : {Format::int8, Format::int4})
      for (const KvFormat kv : {KvFormat::fp32, KvFormat::bf16, KvFormat::int8})
        test_rows_stand_alone(*kernels, format, kv);
    test_layers_one_by_one(*kernels);
    test_wrong_batches_are_refused(*kernels);
  }
  return verdict();
}
