// The module quipu.native._runtime; src/quipu/native/_runtime.pyi says what each function does.
//
// Shapes and ranges are checked here and in model.cc, so that no array Python may pass is read or
// written out of bounds. Weights are borrowed: the Python side holds on to the arrays.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "fixed.h"
#include "learn.h"
#include "model.h"
#include "weights.h"

namespace nb = nanobind;
using nb::literals::operator""_a;

namespace quipu {
namespace {

template <typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
using Ids = Array<const int32_t, 1>;
using Floats1 = Array<const float, 1>;
using Floats2 = Array<float, 2>;

void raise(Error error) {
  if (error != ok) throw std::invalid_argument(error);
}

void require(bool condition, const char* sentence) {
  if (!condition) throw std::invalid_argument(sentence);
}

int32_t size32(size_t size) {
  require(size <= INT32_MAX, "an array is too long");
  return static_cast<int32_t>(size);
}

Format weight_format(const std::string& name) {
  if (name == "fp32") return Format::fp32;
  if (name == "bf16") return Format::bf16;
  if (name == "int8") return Format::int8;
  if (name == "int4") return Format::int4;
  throw std::invalid_argument("a weight's format is fp32, bf16, int8 or int4");
}

KvFormat kv_format_of(const std::string& name) {
  if (name == "fp32") return KvFormat::fp32;
  if (name == "bf16") return KvFormat::bf16;
  if (name == "int8") return KvFormat::int8;
  throw std::invalid_argument("a format of keys and values is fp32, bf16 or int8");
}

const Kernels& kernels_for(const std::string& forced) {
  const IsaChoice choice = choose_isa(forced.c_str(), detect_isa());
  raise(choice.error);
  return kernels_of(choice.isa);
}

void check_positive(std::initializer_list<int32_t> sizes) {
  for (const int32_t size : sizes) require(size > 0, "sizes of a model are at least 1");
}

Matrix* matrix_place(Model& model, int32_t layer, const std::string& part) {
  if (layer < 0) {
    if (part == "tok_embeddings") return &model.weights.embedding;
    if (part == "output") return &model.weights.output;
    return nullptr;
  }
  if (layer >= model.shape().layers) return nullptr;
  Layer& of = model.weights.layers[static_cast<size_t>(layer)];
  if (part == "wq") return &of.wq;
  if (part == "wk") return &of.wk;
  if (part == "wv") return &of.wv;
  if (part == "wo") return &of.wo;
  if (part == "w1") return &of.w1;
  if (part == "w2") return &of.w2;
  if (part == "w3") return &of.w3;
  return nullptr;
}

const float** vector_place(Model& model, int32_t layer, const std::string& part) {
  if (layer < 0) return part == "norm" ? &model.weights.norm : nullptr;
  if (layer >= model.shape().layers) return nullptr;
  Layer& of = model.weights.layers[static_cast<size_t>(layer)];
  if (part == "attention_norm") return &of.attention_norm;
  if (part == "ffn_norm") return &of.ffn_norm;
  return nullptr;
}

void set_matrix(Model& model, int32_t layer, const std::string& part, const std::string& format,
                int32_t outputs, int32_t inputs, const Array<const uint8_t, 1>& values,
                const std::optional<Array<const uint16_t, 1>>& scales) {
  Matrix* place = matrix_place(model, layer, part);
  require(place != nullptr, "no such matrix");
  require(outputs > 0 && inputs > 0 && inputs % group_inputs == 0,
          "a matrix has outputs, and inputs in whole groups of 32");
  const Format as = weight_format(format);
  const size_t scale_count = scales ? scales->size() * sizeof(uint16_t) : 0;
  require(values.size() == value_bytes(as, outputs, inputs) &&
              scale_count == scale_bytes(as, outputs, inputs),
          "a matrix has the wrong number of bytes");
  *place = {as, outputs, inputs, values.data(), scales ? scales->data() : nullptr};
}

void set_vector(Model& model, int32_t layer, const std::string& part, const Floats1& values) {
  const float** place = vector_place(model, layer, part);
  require(place != nullptr, "no such vector");
  require(size32(values.size()) == model.shape().dim, "a norm has the wrong length");
  *place = values.data();
}

void step(Model& model, const Ids& tokens, const Ids& positions, const Ids& starts,
          const Ids& contexts, const Array<const int32_t, 2>& pages, const Ids& select,
          int32_t choices, const Floats2& logits, const Array<int32_t, 1>& best) {
  require(positions.size() == tokens.size() && starts.size() == contexts.size() + 1 &&
              pages.shape(0) == contexts.size() && best.size() == select.size() &&
              logits.shape(0) == select.size() &&
              size32(logits.shape(1)) == model.shape().vocab,
          "arrays of a step do not go together");
  require(choices >= 1 && choices <= model.shape().vocab, "choices lie in 1..vocab");
  const Batch batch = {tokens.data(),         positions.data(),       starts.data(),
                       contexts.data(),       pages.data(),           select.data(),
                       size32(tokens.size()), size32(contexts.size()), size32(pages.shape(1)),
                       size32(select.size())};
  Error error = ok;
  {
    nb::gil_scoped_release free;
    error = model.step(batch, choices, logits.data(), best.data());
  }
  raise(error);
}

void embed(Model& model, const Ids& tokens, const Floats2& x) {
  require(x.shape(0) == tokens.size() && size32(x.shape(1)) == model.shape().dim,
          "x is [tokens, dim]");
  raise(model.embed(tokens.data(), size32(tokens.size()), x.data()));
}

void layer(Model& model, int32_t index, const Floats2& x, const Floats2& attention,
           const Floats2& output, const Floats2& gate, const Floats2& down) {
  const Shape& shape = model.shape();
  const auto wide = [&](const Floats2& array, int32_t width) {
    return array.shape(0) == x.shape(0) && size32(array.shape(1)) == width;
  };
  require(wide(x, shape.dim) && wide(attention, shape.dim) && wide(gate, shape.dim) &&
              wide(output, shape.heads * shape.head_size) && wide(down, shape.ffn),
          "arrays of a layer do not go together");
  Error error = ok;
  {
    nb::gil_scoped_release free;
    error = model.layer(index, size32(x.shape(0)), x.data(),
                        {attention.data(), output.data(), gate.data(), down.data()});
  }
  raise(error);
}

using Floats3 = Array<const float, 3>;
using Results3 = Array<float, 3>;

// Shapes of a packed batch, all checked but the order of bounds.
Packed packed(const Floats3& q, const Floats3& k, const Floats3& v, const Ids& bounds) {
  require(k.shape(0) == q.shape(0) && k.shape(2) == q.shape(2) && v.shape(0) == k.shape(0) &&
              v.shape(1) == k.shape(1) && v.shape(2) == k.shape(2),
          "queries, keys and values do not go together");
  require(bounds.size() > 0 && bounds.data()[bounds.size() - 1] >= 0 &&
              static_cast<size_t>(bounds.data()[bounds.size() - 1]) <= q.shape(0),
          "documents end where tokens end");
  return {q.data(), k.data(), v.data(), bounds.data(), size32(bounds.size()) - 1,
          size32(q.shape(1)), size32(k.shape(1)), size32(q.shape(2))};
}

void require_like(const Floats3& of, size_t rows, size_t heads, size_t width) {
  require(of.shape(0) == rows && of.shape(1) == heads && of.shape(2) == width,
          "results do not go together with queries, keys and values");
}

void see(const Floats3& q, const Floats3& k, const Floats3& v, const Ids& bounds,
         const Results3& out, const Floats2& normaliser, int32_t threads, const std::string& isa) {
  const Packed x = packed(q, k, v, bounds);
  require_like(Floats3(out), q.shape(0), q.shape(1), q.shape(2));
  require(normaliser.shape(0) == q.shape(0) && normaliser.shape(1) == q.shape(1),
          "a normaliser for each query");
  const Kernels& kernels = kernels_for(isa);
  Error error = ok;
  {
    nb::gil_scoped_release free;
    error = attend_documents(kernels, x, out.data(), normaliser.data(), threads);
  }
  raise(error);
}

void unsee(const Floats3& by_out, const Floats3& q, const Floats3& k, const Floats3& v,
           const Floats3& out, const Array<const float, 2>& normaliser, const Ids& bounds,
           const Results3& by_q, const Results3& by_k, const Results3& by_v, int32_t threads,
           const std::string& isa) {
  const Packed x = packed(q, k, v, bounds);
  for (const Floats3& one : {by_out, out, Floats3(by_q)})
    require_like(one, q.shape(0), q.shape(1), q.shape(2));
  for (const Floats3& one : {Floats3(by_k), Floats3(by_v)})
    require_like(one, k.shape(0), k.shape(1), k.shape(2));
  require(normaliser.shape(0) == q.shape(0) && normaliser.shape(1) == q.shape(1),
          "a normaliser for each query");
  const Kernels& kernels = kernels_for(isa);
  Error error = ok;
  {
    nb::gil_scoped_release free;
    error = attend_documents_backward(kernels, x, out.data(), normaliser.data(), by_out.data(),
                                      by_q.data(), by_k.data(), by_v.data(), threads);
  }
  raise(error);
}

FixedFactor factor_of(const Array<const float, 2>& x, bool turned) {
  return {x.data(), static_cast<int64_t>(x.shape(1)), turned};
}

void fixed(const Array<const float, 2>& a, const Array<const float, 2>& b, const Floats2& out,
           bool a_turned, bool b_turned, int32_t threads, const std::string& isa) {
  const size_t rows = a.shape(a_turned ? 1 : 0), depth = a.shape(a_turned ? 0 : 1);
  const size_t columns = b.shape(b_turned ? 1 : 0);
  require(b.shape(b_turned ? 0 : 1) == depth && out.shape(0) == rows && out.shape(1) == columns,
          "factors and result of a product do not go together");
  FixedTask task{};
  task.a = factor_of(a, a_turned), task.b = factor_of(b, b_turned);
  task.y = out.data(), task.y_stride = static_cast<int64_t>(columns);
  task.rows = size32(rows), task.columns = size32(columns), task.depth = size32(depth);
  const Kernels& kernels = kernels_for(isa);
  Error error = ok;
  {
    nb::gil_scoped_release free;
    error = multiply_fixed(kernels, task, threads);
  }
  raise(error);
}

void make_model(Model* place, int32_t dim, int32_t layers, int32_t heads, int32_t kv_heads,
                int32_t head_size, int32_t ffn, int32_t vocab, float norm_eps,
                const Floats1& frequency, float rotary_factor, const std::string& kv_format,
                int32_t page_size, int32_t num_pages, int32_t threads, const std::string& isa) {
  check_positive({dim, layers, heads, kv_heads, head_size, ffn, vocab, page_size, num_pages,
                  threads});
  require(size32(frequency.size()) == head_size / 2, "a frequency for each pair of a head");
  const Shape shape = {dim, layers, heads, kv_heads, head_size, ffn, vocab, norm_eps};
  const Memory memory = {kv_format_of(kv_format), page_size, num_pages};
  // Before threads start: permission for tile registers counts for those made later.
  const Kernels& kernels = kernels_for(isa);
  std::vector<float> frequencies(frequency.data(), frequency.data() + frequency.size());
  new (place) Model(shape, {std::move(frequencies), rotary_factor}, memory, kernels, threads);
}

}  // namespace
}  // namespace quipu

NB_MODULE(_runtime, module) {
  using quipu::Model;
  module.def("detected_isa", [] { return quipu::isa_name(quipu::detect_isa()); });
  module.def("default_threads", &quipu::default_threads);
  module.def("attend_documents", &quipu::see, "q_THE"_a, "k_TKE"_a, "v_TKE"_a, "bounds"_a,
             "out_THE"_a, "normaliser_TH"_a, nb::kw_only(), "threads"_a, "isa"_a);
  module.def("attend_documents_backward", &quipu::unsee, "by_out_THE"_a, "q_THE"_a, "k_TKE"_a,
             "v_TKE"_a, "out_THE"_a, "normaliser_TH"_a, "bounds"_a, "by_q_THE"_a, "by_k_TKE"_a,
             "by_v_TKE"_a, nb::kw_only(), "threads"_a, "isa"_a);
  module.def("multiply_fixed", &quipu::fixed, "a"_a, "b"_a, "out"_a, nb::kw_only(), "a_turned"_a,
             "b_turned"_a, "threads"_a, "isa"_a);
  nb::class_<Model>(module, "Model")
      .def("__init__", &quipu::make_model, nb::kw_only(), "dim"_a, "layers"_a, "heads"_a,
           "kv_heads"_a, "head_size"_a, "ffn"_a, "vocab"_a, "norm_eps"_a, "frequency"_a,
           "rotary_factor"_a, "kv_format"_a, "page_size"_a, "num_pages"_a, "threads"_a, "isa"_a)
      .def_prop_ro("isa", [](const Model& model) { return quipu::isa_name(model.isa()); })
      .def_prop_ro("threads", &Model::threads)
      .def("set_matrix", &quipu::set_matrix, "layer"_a, "part"_a, "format"_a, "outputs"_a,
           "inputs"_a, "values"_a, "scales"_a.none())
      .def("set_vector", &quipu::set_vector, "layer"_a, "part"_a, "values"_a)
      .def("step", &quipu::step, "tokens_T"_a, "positions_T"_a, "starts_S1"_a, "contexts_S"_a,
           "pages_SP"_a, "select_N"_a, "choices"_a, "logits_NV"_a, "best_N"_a)
      .def("embed", &quipu::embed, "tokens_T"_a, "x_TD"_a)
      .def("layer", &quipu::layer, "index"_a, "x_TD"_a, "attention_TD"_a, "output_TQ"_a,
           "gate_TD"_a, "down_TF"_a);
}
