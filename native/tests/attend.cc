// Attention over pages of every instruction set against double precision, and its invariances.
#include "attend.h"

#include <cstring>

#include "check.h"
#include "numbers.h"

using namespace quipu;

namespace {

constexpr double fp32_attention = 3e-6;  // scores, exponentials and sums in fp32

struct Shape {
  int32_t heads, kv_heads, head_size, page_size, context;
  bool bf16;
};

// A context whose pages lie in falling order with a gap, so that a mistaken page shows. Keys and
// values are a function of position alone: another page size holds the same sequence.
struct Pool {
  explicit Pool(const Shape& s) : shape(s) {
    const int32_t count = (s.context + s.page_size - 1) / s.page_size;
    for (int32_t page = 0; page < count; ++page) pages.push_back(2 * (count - page));
    width = static_cast<size_t>(s.kv_heads * s.head_size);
    Random random(11);
    keys = random.bells(width * static_cast<size_t>(s.context));
    values = random.bells(keys.size());
    q = random.bells(static_cast<size_t>(s.context * s.heads * s.head_size));
    if (s.bf16) round(keys), round(values);
    store(keys, key_pool, key_words);
    store(values, value_pool, value_words);
  }

  static void round(std::vector<float>& x) {
    for (float& value : x) value = float_of_bf16(bf16_of_float(value));
  }

  void store(const std::vector<float>& x, std::vector<float>& pool, std::vector<uint16_t>& words) {
    const size_t slots = (2 * pages.size() + 1) * static_cast<size_t>(shape.page_size);
    pool.assign(slots * width, NAN);  // what no key occupies must never be read into a result
    words.assign(slots * width, 0x7fc0);
    for (size_t position = 0; position < static_cast<size_t>(shape.context); ++position) {
      const size_t size = static_cast<size_t>(shape.page_size);
      const size_t slot = static_cast<size_t>(pages[position / size]) * size + position % size;
      for (size_t i = 0; i < width; ++i) {
        pool[slot * width + i] = x[position * width + i];
        words[slot * width + i] = bf16_of_float(x[position * width + i]);
      }
    }
  }

  size_t row() const { return static_cast<size_t>(shape.heads * shape.head_size); }

  // What queries first..first + count saw.
  std::vector<float> attended(const Kernels& kernels, int threads, int32_t first, int32_t count) {
    std::vector<float> out(static_cast<size_t>(count) * row(), NAN);
    Threads pool(threads);
    const AttendTask task = {
        q.data() + static_cast<size_t>(first) * row(),
        out.data(),
        shape.bf16 ? static_cast<const void*>(key_words.data()) : key_pool.data(),
        shape.bf16 ? static_cast<const void*>(value_words.data()) : value_pool.data(),
        pages.data(),
        count,
        first,
        shape.heads,
        shape.kv_heads,
        shape.head_size,
        shape.page_size,
        shape.bf16,
        1 / std::sqrt(static_cast<float>(shape.head_size))};
    CHECK(attend(kernels, pool, task) == ok);
    return out;
  }

  void reference_head(size_t t, size_t head, double* out) const {
    const size_t size = static_cast<size_t>(shape.head_size);
    const size_t kv = head / static_cast<size_t>(shape.heads / shape.kv_heads);
    std::vector<double> weights;
    double total = 0;
    for (size_t p = 0; p <= t; ++p) {
      double score = 0;
      for (size_t e = 0; e < size; ++e)
        score += double{q[t * row() + head * size + e]} * double{keys[p * width + kv * size + e]};
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
      total += weights.back();
    }
    for (size_t p = 0; p <= t; ++p)
      for (size_t e = 0; e < size; ++e)
        out[e] += weights[p] / total * double{values[p * width + kv * size + e]};
  }

  std::vector<double> reference() const {
    std::vector<double> out(static_cast<size_t>(shape.context) * row(), 0.0);
    for (size_t t = 0; t < static_cast<size_t>(shape.context); ++t)
      for (size_t head = 0; head < static_cast<size_t>(shape.heads); ++head)
        reference_head(t, head, &out[t * row() + head * static_cast<size_t>(shape.head_size)]);
    return out;
  }

  Shape shape;
  size_t width;
  std::vector<int32_t> pages;
  std::vector<float> keys, values, q, key_pool, value_pool;
  std::vector<uint16_t> key_words, value_words;
};

void attention_matches_double_precision(const Kernels& kernels, const Shape& shape) {
  Pool pool(shape);
  check_close("attend", isa_name(kernels.isa), pool.attended(kernels, 2, 0, shape.context),
              pool.reference(), fp32_attention);
}

void chunks_pages_and_threads_change_nothing(const Kernels& kernels) {
  Shape shape{4, 2, 48, 16, 75, true};
  Pool whole(shape);
  const std::vector<float> all = whole.attended(kernels, 1, 0, 75);
  shape.page_size = 7;
  Pool other(shape);
  CHECK(other.attended(kernels, 3, 0, 75) == all);
  for (const int32_t first : {0, 31, 32, 70}) {
    const int32_t count = first == 70 ? 1 : 5;
    const std::vector<float> some = other.attended(kernels, 2, first, count);
    CHECK(std::memcmp(some.data(), &all[static_cast<size_t>(first) * whole.row()],
                      some.size() * sizeof(float)) == 0);
  }
}

void large_scores_do_not_overflow(const Kernels& kernels) {
  Pool pool(Shape{1, 1, 16, 8, 40, false});
  for (float& x : pool.q) x *= 1e4f;
  for (const float x : pool.attended(kernels, 1, 0, 40)) CHECK(std::isfinite(x));
}

void wrong_shapes_are_errors() {
  Threads threads(1);
  AttendTask task = {};
  CHECK(attend(kernels_of(Isa::portable), threads, task) != ok);
}

}  // namespace

int main() {
  wrong_shapes_are_errors();
  for (const Kernels* kernels : available_kernels()) {
    attention_matches_double_precision(*kernels, {1, 1, 16, 4, 1, false});
    attention_matches_double_precision(*kernels, {8, 1, 64, 16, 70, true});
    attention_matches_double_precision(*kernels, {6, 3, 80, 5, 41, false});
    attention_matches_double_precision(*kernels, {4, 4, 128, 32, 97, true});
    attention_matches_double_precision(*kernels, {2, 1, 256, 64, 33, false});
    chunks_pages_and_threads_change_nothing(*kernels);
    large_scores_do_not_overflow(*kernels);
  }
  return verdict();
}
