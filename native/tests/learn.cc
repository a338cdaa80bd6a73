// Attention of training of every instruction set against double precision, forward and backward.
#include "learn.h"

#include "check.h"

using namespace quipu;

namespace {

constexpr double fp32_forward = 3e-6;   // scores, exponentials and sums in fp32
constexpr double fp32_backward = 1e-5;  // products of those, summed over hundreds of queries

struct Shape {
  int32_t heads, kv_heads, head_size;
  std::vector<int32_t> bounds;
};

struct Numbers {
  explicit Numbers(const Shape& s) {
    const auto tokens = static_cast<size_t>(s.bounds.back());
    rows = tokens * static_cast<size_t>(s.heads);
    own = rows * static_cast<size_t>(s.head_size);
    shared = tokens * static_cast<size_t>(s.kv_heads * s.head_size);
    Random random(5);
    q = random.bells(own), k = random.bells(shared), v = random.bells(shared);
    by_out = random.bells(own);
  }
  Packed packed(const Shape& s) const {
    return {q.data(), k.data(), v.data(), s.bounds.data(),
            static_cast<int32_t>(s.bounds.size()) - 1, s.heads, s.kv_heads, s.head_size};
  }
  size_t rows, own, shared;
  std::vector<float> q, k, v, by_out;
};

struct Found {
  std::vector<float> out, normaliser, by_q, by_k, by_v;
};

Found found(const Kernels& kernels, const Shape& s, const Numbers& n, int threads) {
  Found f{std::vector<float>(n.own, NAN), std::vector<float>(n.rows, NAN),
          std::vector<float>(n.own, NAN), std::vector<float>(n.shared, NAN),
          std::vector<float>(n.shared, NAN)};
  const Packed x = n.packed(s);
  CHECK(attend_documents(kernels, x, f.out.data(), f.normaliser.data(), threads) == ok);
  CHECK(attend_documents_backward(kernels, x, f.out.data(), f.normaliser.data(), n.by_out.data(),
                                  f.by_q.data(), f.by_k.data(), f.by_v.data(), threads) == ok);
  return f;
}

struct Expected {
  std::vector<double> out, normaliser, by_q, by_k, by_v;
};

// One query at a time, in double precision.
Expected expected(const Shape& s, const Numbers& n) {
  Expected e{std::vector<double>(n.own), std::vector<double>(n.rows), std::vector<double>(n.own),
             std::vector<double>(n.shared), std::vector<double>(n.shared)};
  const auto E = static_cast<size_t>(s.head_size), H = static_cast<size_t>(s.heads),
             K = static_cast<size_t>(s.kv_heads);
  const double scale = 1 / std::sqrt(static_cast<double>(E));
  for (size_t document = 0; document + 1 < s.bounds.size(); ++document) {
    const auto first = static_cast<size_t>(s.bounds[document]);
    for (auto t = first; t < static_cast<size_t>(s.bounds[document + 1]); ++t) {
      for (size_t head = 0; head < H; ++head) {
        const size_t row = (t * H + head) * E;
        const auto at = [&](size_t key) { return (key * K + head / (H / K)) * E; };
        std::vector<double> weights;
        double total = 0, delta = 0;
        for (size_t key = first; key <= t; ++key) {
          double score = 0;
          for (size_t i = 0; i < E; ++i) score += double{n.q[row + i]} * double{n.k[at(key) + i]};
          weights.push_back(std::exp(score * scale));
          total += weights.back();
        }
        e.normaliser[t * H + head] = std::log(total);
        for (size_t key = first; key <= t; ++key) {
          weights[key - first] /= total;
          for (size_t i = 0; i < E; ++i)
            e.out[row + i] += weights[key - first] * double{n.v[at(key) + i]};
        }
        for (size_t i = 0; i < E; ++i) delta += e.out[row + i] * double{n.by_out[row + i]};
        for (size_t key = first; key <= t; ++key) {
          const double weight = weights[key - first];
          double by = -delta;
          for (size_t i = 0; i < E; ++i) by += double{n.by_out[row + i]} * double{n.v[at(key) + i]};
          by *= weight * scale;
          for (size_t i = 0; i < E; ++i) {
            e.by_q[row + i] += by * double{n.k[at(key) + i]};
            e.by_k[at(key) + i] += by * double{n.q[row + i]};
            e.by_v[at(key) + i] += weight * double{n.by_out[row + i]};
          }
        }
      }
    }
  }
  return e;
}

void gradients_match(const Kernels& kernels, const Shape& s) {
  const Numbers n(s);
  const Found f = found(kernels, s, n, 2);
  const Expected e = expected(s, n);
  const char* isa = isa_name(kernels.isa);
  check_close("seen", isa, f.out, e.out, fp32_forward);
  check_close("normaliser", isa, f.normaliser, e.normaliser, fp32_forward);
  check_close("by q", isa, f.by_q, e.by_q, fp32_backward);
  check_close("by k", isa, f.by_k, e.by_k, fp32_backward);
  check_close("by v", isa, f.by_v, e.by_v, fp32_backward);
  const Found alone = found(kernels, s, n, 1);
  CHECK(f.out == alone.out && f.by_q == alone.by_q && f.by_k == alone.by_k && f.by_v == alone.by_v);
}

// Scores of some hundred: no overflow, and the far smaller ones are simply not there.
void large_scores(const Kernels& kernels) {
  const Shape s = {1, 1, 16, {0, 70}};
  Numbers n(s);
  for (float& x : n.q) x *= 200;
  const Found f = found(kernels, s, n, 1);
  for (const std::vector<float>* all : {&f.out, &f.normaliser, &f.by_q, &f.by_k, &f.by_v})
    for (const float x : *all) CHECK(std::isfinite(x));
}

void refusals(const Kernels& kernels) {
  for (const Shape& s : {Shape{2, 2, 24, {0, 3}}, Shape{3, 2, 16, {0, 3}},
                         Shape{2, 2, 16, {2, 0, 3}}, Shape{0, 1, 16, {0, 3}}}) {
    const Numbers n(Shape{4, 4, 32, {0, 8}});
    Packed x = n.packed(s);
    std::vector<float> out(n.own), rest(n.own);
    CHECK(attend_documents(kernels, x, out.data(), rest.data(), 1) != ok);
  }
}

}  // namespace

int main() {
  for (const Kernels* kernels : available_kernels()) {
    gradients_match(*kernels, {2, 2, 64, {0, 1, 1, 6, 7, 71, 200}});
    gradients_match(*kernels, {4, 2, 16, {0, 48, 49, 96, 97}});
    gradients_match(*kernels, {3, 1, 48, {0, 64, 129}});
    gradients_match(*kernels, {1, 1, 128, {0, 257}});
    large_scores(*kernels);
    refusals(*kernels);
  }
  return verdict();
}
