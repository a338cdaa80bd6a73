#include "model.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "rows.h"

namespace quipu {
namespace {

size_t whole_lines(size_t floats) { return (floats + 15) / 16 * 16; }

// Pages are zeros that the system hands out when they are first touched.
uint8_t* zeros(size_t bytes) {
  void* memory = std::calloc(bytes + 64, 1);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<uint8_t*>(memory);
}

uint8_t* aligned(uint8_t* memory) {
  return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + 63) / 64 * 64);
}

bool fits(const Matrix& matrix, int32_t outputs, int32_t inputs) {
  return matrix.values != nullptr && matrix.outputs == outputs && matrix.inputs == inputs;
}

bool finite(const float* x, int32_t size) {
  uint32_t found = 0;
  for (int32_t i = 0; i < size; ++i) {
    uint32_t bits;
    std::memcpy(&bits, x + i, sizeof bits);
    found |= static_cast<uint32_t>((bits & 0x7f800000) == 0x7f800000);
  }
  return found == 0;
}

}  // namespace

void Scratch::Free::operator()(void* memory) const { std::free(memory); }

float* Scratch::floats(size_t count) {
  const size_t bytes = whole_lines(count) * sizeof(float);
  if (bytes > bytes_) {
    memory_.reset();
    bytes_ = 0;
    memory_.reset(std::aligned_alloc(64, bytes));
    if (memory_ == nullptr) throw std::bad_alloc();
    bytes_ = bytes;
  }
  return static_cast<float*>(memory_.get());
}

// Places for the rows of one step.
struct Model::Rows {
  int32_t count;     // T
  float* x;          // [T, D], the residual stream
  float* normed;     // [T, D]
  float* qkv;        // [T, (H + 2 K) E]
  float* attended;   // [T, HE]
  float* gated;      // [T, F]
  float *cos, *sin;  // [T, E / 2]
  void* prepared;    // of any of the above
};

Model::Model(const Shape& shape, Rotary rotary, const Memory& memory, const Kernels& kernels,
             int threads)
    : shape_(shape),
      rotary_(std::move(rotary)),
      memory_(memory),
      kernels_(kernels),
      threads_(threads),
      keys_(nullptr, nullptr),
      values_(nullptr, nullptr) {
  weights.layers.resize(static_cast<size_t>(shape.layers));
  const Pool one = pool(0);
  const size_t layers = static_cast<size_t>(shape.layers);
  const auto release = [](void* memory_) { std::free(memory_); };
  keys_ = {zeros(layers * key_bytes(one)), release};
  values_ = {zeros(layers * value_bytes(one)), release};
}

Model::~Model() = default;

Pool Model::pool(int32_t layer) const {
  Pool out = {memory_.format,    shape_.kv_heads, shape_.head_size, memory_.page_size,
              memory_.num_pages, nullptr,         nullptr};
  if (keys_ == nullptr) return out;
  out.keys = aligned(keys_.get()) + static_cast<size_t>(layer) * key_bytes(out);
  out.values = aligned(values_.get()) + static_cast<size_t>(layer) * value_bytes(out);
  return out;
}

Error Model::check_weights() const {
  if (!fits(weights.embedding, shape_.vocab, shape_.dim) ||
      !fits(weights.output, shape_.vocab, shape_.dim) ||
      weights.norm == nullptr)
    return "the embedding, the last norm or the output is missing or has the wrong shape";
  for (const Layer& layer : weights.layers)
    if (const Error error = check_layer(layer)) return error;
  return ok;
}

Error Model::check_layer(const Layer& layer) const {
  const int32_t query = shape_.heads * shape_.head_size;
  const int32_t key = shape_.kv_heads * shape_.head_size;
  const int32_t d = shape_.dim, f = shape_.ffn;
  if (!fits(layer.wq, query, d) || !fits(layer.wk, key, d) || !fits(layer.wv, key, d) ||
      !fits(layer.wo, d, query) || !fits(layer.w1, f, d) || !fits(layer.w3, f, d) ||
      !fits(layer.w2, d, f) || layer.attention_norm == nullptr || layer.ffn_norm == nullptr)
    return "a weight of a layer is missing or has the wrong shape";
  return ok;
}

Error Model::check(const Batch& batch) const {
  if (const Error error = check_weights()) return error;
  if (batch.rows < 1 || batch.sequences < 1 || batch.starts[0] != 0 ||
      batch.starts[batch.sequences] != batch.rows)
    return "a batch needs rows that its sequences share out";
  for (int32_t s = 0; s < batch.sequences; ++s)
    if (batch.starts[s + 1] <= batch.starts[s]) return "a sequence of a batch is empty";
  for (int32_t t = 0; t < batch.rows; ++t)
    if (batch.tokens[t] < 0 || batch.tokens[t] >= shape_.vocab)
      return "a token id is outside the vocabulary";
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const int32_t begin = batch.starts[s], size = batch.starts[s + 1] - begin;
    const int32_t first = batch.contexts[s] - size;
    if (first < 0) return "a sequence of a batch is longer than its context";
    const int64_t pages = (int64_t{batch.contexts[s]} + memory_.page_size - 1) / memory_.page_size;
    if (pages > batch.width) return "a sequence of a batch has fewer pages than its context needs";
    for (int64_t p = 0; p < pages; ++p) {
      const int32_t page = batch.pages[int64_t{s} * batch.width + p];
      if (page < 0 || page >= memory_.num_pages) return "a page is outside the pool";
    }
    for (int32_t t = 0; t < size; ++t)
      if (batch.positions[begin + t] != first + t) return "positions do not rise to the context";
  }
  for (int32_t n = 0; n < batch.selected; ++n)
    if (batch.select[n] < 0 || batch.select[n] >= batch.rows ||
        (n > 0 && batch.select[n] <= batch.select[n - 1]))
      return "selected rows must rise and lie in the batch";
  return ok;
}

Model::Rows Model::lay_out_rows(int32_t count) {
  const size_t rows = static_cast<size_t>(count), half = static_cast<size_t>(shape_.head_size / 2);
  const size_t d = static_cast<size_t>(shape_.dim), f = static_cast<size_t>(shape_.ffn);
  const size_t query = static_cast<size_t>(shape_.heads * shape_.head_size);
  const size_t key = static_cast<size_t>(shape_.kv_heads * shape_.head_size);
  const size_t sizes[] = {rows * d,     rows * d,    rows * (query + 2 * key), rows * query,
                          rows * f,     rows * half, rows * half};
  const size_t widest = std::max({d, query, f});
  size_t all = activation_bytes(count, static_cast<int32_t>(widest)) / sizeof(float);
  for (const size_t size : sizes) all += whole_lines(size);
  float* place = scratch_.floats(all);
  float* places[7];
  for (int i = 0; i < 7; ++i) {
    places[i] = place;
    place += whole_lines(sizes[i]);
  }
  return {count,     places[0], places[1], places[2], places[3],
          places[4], places[5], places[6], place};
}

std::vector<AttendTask> Model::tasks_of(const Batch& batch, const Rows& rows) const {
  const int32_t query = shape_.heads * shape_.head_size;
  const int32_t key = shape_.kv_heads * shape_.head_size;
  const int32_t stride = query + 2 * key;
  std::vector<AttendTask> tasks;
  for (int32_t s = 0; s < batch.sequences; ++s) {
    const int32_t begin = batch.starts[s], size = batch.starts[s + 1] - begin;
    const float* q = rows.qkv + int64_t{begin} * stride;
    AttendTask task = {};
    task.q = q;
    task.k = q + query;
    task.v = q + query + key;
    task.q_stride = stride;
    task.kv_stride = stride;
    task.out_stride = query;
    task.out = rows.attended + int64_t{begin} * query;
    task.pages = batch.pages + int64_t{s} * batch.width;
    task.queries = size;
    task.first_position = batch.contexts[s] - size;
    task.heads = shape_.heads;
    task.scale = 1 / __builtin_sqrtf(static_cast<float>(shape_.head_size));
    tasks.push_back(task);
  }
  return tasks;
}

// Products of normed rows x [T, D], which `rows.normed` keeps.
Error Model::multiply_normed(Rows& rows, const float* norm, const Product* products, int count) {
  if (const Error error = rms_norm(kernels_, threads_, rows.x, norm, shape_.norm_eps, rows.count,
                                   shape_.dim, rows.normed))
    return error;
  return multiply_rows(rows, rows.normed, shape_.dim, products, count);
}

Error Model::multiply_rows(Rows& rows, const float* x, int32_t inputs, const Product* products,
                           int count) {
  Formats formats = 0;
  for (int i = 0; i < count; ++i) formats |= set_of(products[i].w.format);
  const Activations prepared = lay_out(x, rows.count, inputs, rows.prepared);
  if (const Error error = prepare(kernels_, threads_, formats, prepared)) return error;
  return multiply(kernels_, threads_, prepared, products, count);
}

// Fills rows.attended.
Error Model::attention(int32_t index, Rows& rows, const std::vector<AttendTask>& tasks) {
  const Layer& layer = weights.layers[static_cast<size_t>(index)];
  const int32_t e = shape_.head_size, query = shape_.heads * e, key = shape_.kv_heads * e;
  const int32_t stride = query + 2 * key;
  const Product products[] = {{layer.wq, rows.qkv, stride, false},
                              {layer.wk, rows.qkv + query, stride, false},
                              {layer.wv, rows.qkv + query + key, stride, false}};
  if (const Error error = multiply_normed(rows, layer.attention_norm, products, 3)) return error;
  // Queries and keys of a row lie side by side: one rotation turns both.
  if (const Error error = rotate(kernels_, threads_, rows.qkv, stride, rows.cos, rows.sin,
                                 rows.count, shape_.heads + shape_.kv_heads, e))
    return error;
  return attend(kernels_, threads_, pool(index), tasks.data(), static_cast<int32_t>(tasks.size()));
}

// What follows attention in a layer: its output and the feed-forward part, both added to x.
Error Model::feed_forward(int32_t index, Rows& rows) {
  const Layer& layer = weights.layers[static_cast<size_t>(index)];
  const int32_t d = shape_.dim, f = shape_.ffn, query = shape_.heads * shape_.head_size;
  const Product output = {layer.wo, rows.x, d, true}, down = {layer.w2, rows.x, d, true};
  if (const Error error = multiply_rows(rows, rows.attended, query, &output, 1)) return error;
  if (const Error error = rms_norm(kernels_, threads_, rows.x, layer.ffn_norm, shape_.norm_eps,
                                   rows.count, d, rows.normed))
    return error;
  const Activations prepared = lay_out(rows.normed, rows.count, d, rows.prepared);
  const Formats formats = set_of(layer.w1.format) | set_of(layer.w3.format);
  if (const Error error = prepare(kernels_, threads_, formats, prepared)) return error;
  if (const Error error =
          multiply_gated(kernels_, threads_, prepared, layer.w1, layer.w3, rows.gated))
    return error;
  return multiply_rows(rows, rows.gated, f, &down, 1);
}

// After the last layer's attention only selected rows matter: moves them to the front.
void Model::keep_selected(const Batch& batch, Rows& rows) const {
  const int32_t query = shape_.heads * shape_.head_size;
  const auto move = [&](float* rows_, int32_t width, int32_t n) {
    const int64_t from = int64_t{batch.select[n]} * width, to = int64_t{n} * width;
    if (from != to) std::memcpy(rows_ + to, rows_ + from, static_cast<size_t>(width) * 4);
  };
  for (int32_t n = 0; n < batch.selected; ++n) {
    move(rows.x, shape_.dim, n);
    move(rows.attended, query, n);
  }
  rows.count = batch.selected;
}

Error Model::step(const Batch& batch, int32_t choices, float* logits, int32_t* best) {
  if (const Error error = check(batch)) return error;
  Rows rows = lay_out_rows(batch.rows);
  if (const Error error = gather(threads_, weights.embedding, batch.tokens, batch.rows,
                                 rows.x))
    return error;
  if (const Error error = turn(batch.positions, rows)) return error;
  const std::vector<AttendTask> tasks = tasks_of(batch, rows);
  for (int32_t index = 0; index < shape_.layers; ++index) {
    if (const Error error = attention(index, rows, tasks)) return error;
    if (index == shape_.layers - 1) keep_selected(batch, rows);
    if (rows.count == 0) return ok;
    if (const Error error = feed_forward(index, rows)) return error;
  }
  const Product output = {weights.output, logits, shape_.vocab, false};
  if (const Error error = multiply_normed(rows, weights.norm, &output, 1)) return error;
  choose(logits, rows.count, choices, best);
  return ok;
}

Error Model::turn(const int32_t* positions, Rows& rows) {
  return rotary_angles(threads_, positions, rows.count, rotary_.frequency.data(),
                       shape_.head_size / 2, rotary_.factor, rows.cos, rows.sin);
}

void Model::choose(const float* logits, int32_t rows, int32_t choices, int32_t* best) {
  threads_.parallel_for(rows, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* of = logits + row * shape_.vocab;
      best[row] = finite(of, shape_.vocab) ? kernels_.argmax(of, choices) : -1;
    }
  });
}

Error Model::embed(const int32_t* tokens, int32_t rows, float* x) {
  if (!fits(weights.embedding, shape_.vocab, shape_.dim)) return "the embedding is not set";
  for (int32_t t = 0; t < rows; ++t)
    if (tokens[t] < 0 || tokens[t] >= shape_.vocab) return "a token id is outside the vocabulary";
  return gather(threads_, weights.embedding, tokens, rows, x);
}

Error Model::layer(int32_t index, int32_t count, float* x, const LayerInputs& inputs) {
  if (index < 0 || index >= shape_.layers) return "no such layer";
  if (const Error error = check_layer(weights.layers[static_cast<size_t>(index)])) return error;
  if (count < 1 || int64_t{count} > int64_t{memory_.num_pages} * memory_.page_size)
    return "the tokens of a layer do not fit the pages";
  std::vector<int32_t> positions(static_cast<size_t>(count)), pages;
  for (int32_t t = 0; t < count; ++t) positions[static_cast<size_t>(t)] = t;
  for (int32_t page = 0; page < memory_.num_pages; ++page) pages.push_back(page);
  const int32_t starts[] = {0, count};
  const Batch batch = {nullptr, positions.data(), starts, &count, pages.data(), nullptr,
                       count,   1,                memory_.num_pages, 0};
  Rows rows = lay_out_rows(count);
  rows.x = x;
  if (const Error error = turn(positions.data(), rows)) return error;
  const auto keep = [&](const float* from, int32_t width, float* to) {
    std::memcpy(to, from, static_cast<size_t>(count) * static_cast<size_t>(width) * sizeof(float));
  };
  if (const Error error = attention(index, rows, tasks_of(batch, rows))) return error;
  keep(rows.normed, shape_.dim, inputs.attention);
  keep(rows.attended, shape_.heads * shape_.head_size, inputs.output);
  if (const Error error = feed_forward(index, rows)) return error;
  keep(rows.normed, shape_.dim, inputs.gate);
  keep(rows.gated, shape_.ffn, inputs.down);
  return ok;
}

}  // namespace quipu
