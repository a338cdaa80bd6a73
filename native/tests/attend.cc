// Attention over pages of every instruction set against double precision, and its invariances.
#include "attend.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "check.h"
#include "numbers.h"

using namespace quipu;

namespace {

constexpr double fp32_attention = 3e-6;  // scores, exponentials and sums in fp32
constexpr double fp32_long_attention = 1e-5;  // thousands of weights in one sum after another
// Queries and weights may be rounded to bf16, 2^-9 of each; scores of a few units turn the first
// into the larger part.
constexpr double bf16_attention = 5e-3;

struct Shape {
  int32_t heads, kv_heads, head_size, page_size, context;
  KvFormat format;
};

// Queries, keys and values of a sequence: a function of position alone.
struct Sequence {
  explicit Sequence(const Shape& s, uint64_t seed = 11) : shape(s) {
    Random random(seed);
    const auto context = static_cast<size_t>(s.context);
    k = random.bells(kv_row() * context);
    v = random.bells(kv_row() * context);
    q = random.bells(row() * context);
  }
  size_t row() const { return static_cast<size_t>(shape.heads * shape.head_size); }
  size_t kv_row() const { return static_cast<size_t>(shape.kv_heads * shape.head_size); }

  Shape shape;
  std::vector<float> q, k, v;
};

// A pool full of NaNs, whose pages are given out in falling order with gaps, so that a mistaken
// page shows, as does a slot without a token.
struct Pages {
  Pages(const Shape& s, int32_t sequences = 1) {
    per_sequence = (s.context + s.page_size - 1) / s.page_size;
    const int32_t count = 2 * per_sequence * sequences + 1;
    pool = {s.format, s.kv_heads, s.head_size, s.page_size, count, nullptr, nullptr};
    keys = fresh(key_bytes(pool)), values = fresh(value_bytes(pool));
    pool.keys = keys.get(), pool.values = values.get();
    for (int32_t page = 0; page < per_sequence * sequences; ++page)
      table.push_back(2 * (per_sequence * sequences - page));
  }
  using Bytes = std::unique_ptr<uint8_t, void (*)(void*)>;
  static Bytes fresh(size_t size) {
    Bytes out(static_cast<uint8_t*>(std::aligned_alloc(64, size)), std::free);
    std::memset(out.get(), 0xff, size);
    return out;
  }
  const int32_t* pages(int32_t sequence) const { return &table[0] + sequence * per_sequence; }

  int32_t per_sequence;
  Pool pool;
  Bytes keys{nullptr, std::free}, values{nullptr, std::free};
  std::vector<int32_t> table;
};

AttendTask task_of(const Sequence& s, const int32_t* pages, int32_t first, int32_t count,
                   float* out) {
  const auto at = static_cast<size_t>(first);
  return {s.q.data() + at * s.row(),
          s.k.data() + at * s.kv_row(),
          s.v.data() + at * s.kv_row(),
          out,
          pages,
          count,
          first,
          s.shape.heads,
          static_cast<int32_t>(s.row()),
          static_cast<int32_t>(s.kv_row()),
          static_cast<int32_t>(s.row()),
          1 / std::sqrt(static_cast<float>(s.shape.head_size))};
}

// What all queries saw, brought in chunks of these sizes, the last one again and again.
std::vector<float> attended(const Kernels& kernels, const Sequence& s, int threads,
                            const std::vector<int32_t>& chunks) {
  std::vector<float> out(s.row() * static_cast<size_t>(s.shape.context), NAN);
  Pages pages(s.shape);
  Threads workers(threads);
  size_t chunk = 0;
  for (int32_t first = 0; first < s.shape.context; ++chunk) {
    const int32_t count =
        std::min(chunks[std::min(chunk, chunks.size() - 1)], s.shape.context - first);
    const AttendTask task = task_of(s, pages.pages(0), first, count,
                                    &out[static_cast<size_t>(first) * s.row()]);
    CHECK(attend(kernels, workers, pages.pool, &task, 1) == ok);
    first += count;
  }
  return out;
}

// Row by row what the format keeps of keys or values.
std::vector<double> kept(const std::vector<float>& x, const Shape& shape) {
  const auto size = static_cast<size_t>(shape.head_size);
  std::vector<double> out(x.begin(), x.end());
  for (size_t at = 0; at < x.size(); at += size) {
    float largest = 0;
    for (size_t e = 0; e < size; ++e) largest = std::max(largest, std::fabs(x[at + e]));
    for (size_t e = 0; e < size; ++e) {
      if (shape.format == KvFormat::bf16) out[at + e] = float_of_bf16(bf16_of_float(x[at + e]));
      if (shape.format == KvFormat::int8)
        out[at + e] = std::nearbyint(x[at + e] * (127 / largest)) * (largest / 127);
    }
  }
  return out;
}

struct Reference {
  explicit Reference(const Sequence& s) : s(s), k(kept(s.k, s.shape)), v(kept(s.v, s.shape)) {}

  void head(size_t t, size_t head, double* out) const {
    const auto size = static_cast<size_t>(s.shape.head_size);
    const size_t kv = head / static_cast<size_t>(s.shape.heads / s.shape.kv_heads);
    std::vector<double> weights;
    double total = 0;
    for (size_t p = 0; p <= t; ++p) {
      double score = 0;
      for (size_t e = 0; e < size; ++e)
        score += double{s.q[t * s.row() + head * size + e]} * k[p * s.kv_row() + kv * size + e];
      weights.push_back(std::exp(score / std::sqrt(static_cast<double>(size))));
      total += weights.back();
    }
    for (size_t p = 0; p <= t; ++p)
      for (size_t e = 0; e < size; ++e)
        out[e] += weights[p] / total * v[p * s.kv_row() + kv * size + e];
  }

  std::vector<double> all() const {
    std::vector<double> out(s.q.size(), 0.0);
    for (size_t t = 0; t < static_cast<size_t>(s.shape.context); ++t)
      for (size_t h = 0; h < static_cast<size_t>(s.shape.heads); ++h)
        head(t, h, &out[t * s.row() + h * static_cast<size_t>(s.shape.head_size)]);
    return out;
  }

  const Sequence& s;
  std::vector<double> k, v;
};

void attention_matches_double_precision(const Kernels& kernels, const Shape& shape) {
  const Sequence sequence(shape);
  const bool exact = shape.format == KvFormat::fp32 || kernels.isa == Isa::portable;
  check_close("attend", isa_name(kernels.isa), attended(kernels, sequence, 2, {shape.context}),
              Reference(sequence).all(), exact ? fp32_attention : bf16_attention);
}

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

void chunks_pages_and_threads_change_nothing(const Kernels& kernels, Shape shape) {
  const Sequence whole(shape);
  const std::vector<float> all = attended(kernels, whole, 1, {shape.context});
  shape.page_size = 64;
  const Sequence other(shape);
  CHECK(same(attended(kernels, other, 3, {1}), all));
  CHECK(same(attended(kernels, other, 2, {31, 1, 1, 5, 16}), all));
  shape.page_size = 32;
  const Sequence third(shape);
  CHECK(same(attended(kernels, third, 5, {shape.context - 3, 1}), all));
}

// Prefill, chunk and decodes of several sequences in one call.
void other_tasks_change_nothing(const Kernels& kernels, KvFormat format) {
  const Shape shape{6, 2, 32, 16, 540, format};
  const int32_t firsts[] = {0, 100, 539, 300, 0}, counts[] = {40, 70, 1, 1, 0};
  Pages together(shape, 5);
  std::vector<Sequence> sequences;
  for (uint64_t i = 0; i < 5; ++i) sequences.emplace_back(shape, i);
  std::vector<std::vector<float>> expected, got;
  std::vector<AttendTask> tasks;
  Threads threads(4), one(1);
  for (int32_t i = 0; i < 5; ++i) {
    const auto n = static_cast<size_t>(i);
    Pages alone(shape);
    const size_t size = sequences[n].row() * static_cast<size_t>(shape.context);
    std::vector<float> out(size);
    expected.emplace_back(size), got.emplace_back(size);
    for (const Pages* pages : {&alone, &together}) {
      const int32_t* own = pages == &alone ? alone.pages(0) : together.pages(i);
      const AttendTask before = task_of(sequences[n], own, 0, firsts[i], out.data());
      CHECK(attend(kernels, one, pages->pool, &before, 1) == ok);
    }
    const AttendTask task =
        task_of(sequences[n], alone.pages(0), firsts[i], counts[i], expected[n].data());
    CHECK(attend(kernels, one, alone.pool, &task, 1) == ok);
    tasks.push_back(task_of(sequences[n], together.pages(i), firsts[i], counts[i], got[n].data()));
  }
  CHECK(attend(kernels, threads, together.pool, tasks.data(), 5) == ok);
  for (size_t i = 0; i < 5; ++i) CHECK(same(got[i], expected[i]));
}

void pages_hold_the_same_bytes_on_every_set(const Kernels& kernels, KvFormat format) {
  const Shape shape{2, 2, 80, 16, 37, format};
  const Sequence s(shape);
  Threads threads(1);
  std::vector<float> out(s.q.size());
  Pages pages(shape), expected(shape);
  const AttendTask task = task_of(s, pages.pages(0), 0, 37, out.data());
  CHECK(attend(kernels, threads, pages.pool, &task, 1) == ok);
  CHECK(attend(kernels_of(Isa::portable), threads, expected.pool, &task, 1) == ok);
  CHECK(std::memcmp(pages.pool.keys, expected.pool.keys, key_bytes(pages.pool)) == 0);
  CHECK(std::memcmp(pages.pool.values, expected.pool.values, value_bytes(pages.pool)) == 0);
}

// q, k and v as one product gives them, one row of all three after another.
void strides_are_kept(const Kernels& kernels) {
  const Shape shape{4, 2, 32, 16, 50, KvFormat::bf16};
  const Sequence s(shape);
  const size_t width = s.row() + 2 * s.kv_row(), out_width = s.row() + 16;
  std::vector<float> rows(50 * width), out(50 * out_width, 7.0f);
  for (size_t t = 0; t < 50; ++t) {
    std::copy_n(&s.q[t * s.row()], s.row(), &rows[t * width]);
    std::copy_n(&s.k[t * s.kv_row()], s.kv_row(), &rows[t * width + s.row()]);
    std::copy_n(&s.v[t * s.kv_row()], s.kv_row(), &rows[t * width + s.row() + s.kv_row()]);
  }
  Pages pages(shape);
  Threads threads(2);
  AttendTask task = task_of(s, pages.pages(0), 0, 50, out.data());
  task.q = rows.data(), task.k = task.q + s.row(), task.v = task.k + s.kv_row();
  task.q_stride = task.kv_stride = static_cast<int32_t>(width);
  task.out_stride = static_cast<int32_t>(out_width);
  CHECK(attend(kernels, threads, pages.pool, &task, 1) == ok);
  const std::vector<float> expected = attended(kernels, s, 1, {50});
  for (size_t t = 0; t < 50; ++t) {
    CHECK(std::memcmp(&out[t * out_width], &expected[t * s.row()], s.row() * 4) == 0);
    CHECK(out[t * out_width + s.row()] == 7.0f && out[(t + 1) * out_width - 1] == 7.0f);
  }
}

void large_scores_do_not_overflow(const Kernels& kernels) {
  Sequence s(Shape{1, 1, 16, 16, 40, KvFormat::fp32});
  for (float& x : s.q) x *= 1e4f;
  for (const float x : attended(kernels, s, 1, {40})) CHECK(std::isfinite(x));
}

// A NaN or infinity reaches those who see it and nobody else.
void a_nan_stays_with_those_who_see_it(const Kernels& kernels, KvFormat format, float poison) {
  const Shape shape{2, 1, 32, 16, 90, format};
  Sequence s(shape);
  const std::vector<float> clean = attended(kernels, s, 1, {90});
  s.k[70 * s.kv_row() + 5] = poison;
  s.v[75 * s.kv_row() + 3] = poison;
  const std::vector<float> out = attended(kernels, s, 2, {90});
  CHECK(std::memcmp(out.data(), clean.data(), 70 * s.row() * 4) == 0);
  CHECK(!std::isfinite(out[75 * s.row() + 3]));
}

// The last query of a context that is shared out to threads in spans.
std::vector<float> last_attended(const Kernels& kernels, const Sequence& s, const Pages& pages,
                                 int threads) {
  std::vector<float> out(s.row(), NAN);
  Threads workers(threads);
  const AttendTask all = task_of(s, pages.pages(0), 0, s.shape.context, nullptr);
  for (int32_t head = 0; head < s.shape.kv_heads; ++head)
    kernels.store(pages.pool, all, head, 0, s.shape.context - 1);
  const AttendTask last = task_of(s, pages.pages(0), s.shape.context - 1, 1, out.data());
  CHECK(attend(kernels, workers, pages.pool, &last, 1) == ok);
  return out;
}

void a_long_context_is_the_same_on_any_number_of_threads(const Kernels& kernels, KvFormat format) {
  const Sequence s(Shape{3, 1, 16, 32, 16401, format});
  const Pages pages(s.shape);
  const std::vector<float> one = last_attended(kernels, s, pages, 1);
  CHECK(same(last_attended(kernels, s, pages, 2), one));
  CHECK(same(last_attended(kernels, s, pages, 7), one));
  const Reference reference(s);
  std::vector<double> expected(s.row(), 0.0);
  for (size_t head = 0; head < 3; ++head) reference.head(16400, head, &expected[head * 16]);
  const bool exact = format == KvFormat::fp32 || kernels.isa == Isa::portable;
  check_close("long", isa_name(kernels.isa), one, expected,
              exact ? fp32_long_attention : bf16_attention);
}

// Pages more than 2^32 bytes from the first: memory that is only reserved, but for what is used.
void pages_lie_beyond_four_gigabytes(const Kernels& kernels, KvFormat format) {
#if defined(__linux__)
  Sequence s(Shape{2, 2, 256, 64, 70, format});
  const std::vector<float> expected = attended(kernels, s, 1, {70});
  Pool pool = {format, 2, 256, 64, 1, nullptr, nullptr};
  pool.num_pages = static_cast<int32_t>((size_t{9} << 29) / key_bytes(pool));
  const size_t size = key_bytes(pool);
  void* const memory = mmap(nullptr, 2 * size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return void(std::printf("skipped far pages: no room for them\n"));
  pool.keys = static_cast<uint8_t*>(memory), pool.values = pool.keys + size;
  const int32_t pages[] = {pool.num_pages - 1, pool.num_pages - 9};
  std::vector<float> out(s.q.size());
  const AttendTask task = task_of(s, pages, 0, 70, out.data());
  Threads threads(2);
  CHECK(attend(kernels, threads, pool, &task, 1) == ok);
  CHECK(same(out, expected));
  munmap(memory, 2 * size);
#endif
}

void wrong_shapes_are_errors() {
  const Kernels& kernels = kernels_of(Isa::portable);
  Threads threads(1);
  const Sequence s(Shape{4, 2, 32, 16, 20, KvFormat::fp32});
  Pages pages(s.shape);
  std::vector<float> out(s.q.size());
  const AttendTask good = task_of(s, pages.pages(0), 0, 20, out.data());
  const auto refused = [&](const Pool& pool, const AttendTask& task) {
    return attend(kernels, threads, pool, &task, 1) != ok;
  };
  CHECK(!refused(pages.pool, good));
  for (const int32_t size : {0, 8, 40, 272}) {
    Pool pool = pages.pool;
    pool.head_size = size;
    CHECK(refused(pool, good));
  }
  Pool pool = pages.pool;
  pool.page_size = 20;
  CHECK(refused(pool, good));
  pool = pages.pool;
  pool.num_pages = pages.table[0];
  CHECK(refused(pool, good));
  AttendTask task = good;
  task.heads = 3;
  CHECK(refused(pages.pool, task));
  task = good;
  task.q_stride = 64;
  CHECK(refused(pages.pool, task));
  task = good;
  task.first_position = -1;
  CHECK(refused(pages.pool, task));
}

void test(const Kernels& kernels, KvFormat format) {
  for (const Shape& shape : {Shape{1, 1, 16, 16, 1, format}, Shape{8, 1, 64, 16, 70, format},
                             Shape{6, 3, 80, 32, 141, format}, Shape{4, 4, 128, 64, 197, format},
                             Shape{10, 2, 112, 16, 129, format}, Shape{2, 1, 256, 64, 65, format},
                             Shape{64, 1, 16, 16, 33, format}, Shape{2, 2, 16, 16, 530, format}})
    attention_matches_double_precision(kernels, shape);
  chunks_pages_and_threads_change_nothing(kernels, {4, 2, 48, 16, 175, format});
  chunks_pages_and_threads_change_nothing(kernels, {1, 1, 16, 16, 530, format});
  chunks_pages_and_threads_change_nothing(kernels, {7, 1, 32, 16, 100, format});
  other_tasks_change_nothing(kernels, format);
  a_long_context_is_the_same_on_any_number_of_threads(kernels, format);
  pages_lie_beyond_four_gigabytes(kernels, format);
  pages_hold_the_same_bytes_on_every_set(kernels, format);
  for (const float poison : {NAN, INFINITY})
    a_nan_stays_with_those_who_see_it(kernels, format, poison);
}

}  // namespace

int main() {
  wrong_shapes_are_errors();
  for (const Kernels* kernels : available_kernels()) {
    for (const KvFormat format : {KvFormat::fp32, KvFormat::bf16, KvFormat::int8})
      test(*kernels, format);
    strides_are_kept(*kernels);
    large_scores_do_not_overflow(*kernels);
  }
  return verdict();
}
