#include "learn.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

namespace quipu {
namespace {

int64_t learn_scratch(int64_t tokens, int64_t head_size) {
  return key_block * ((tokens / key_block + 3) * head_size + 2 * block_queries);
}

// A document's tokens for one key/value head, which one thread sees to.
struct Unit {
  int32_t first, tokens, kv_head;
};

std::vector<Unit> units_of(const Packed& x) {
  std::vector<Unit> units;
  for (int32_t document = 0; document < x.documents; ++document) {
    const int32_t first = x.bounds[document], tokens = x.bounds[document + 1] - first;
    for (int32_t head = 0; tokens > 0 && head < x.kv_heads; ++head)
      units.push_back({first, tokens, head});
  }
  return units;
}

Error check(const Packed& x) {
  if (x.heads < 1 || x.kv_heads < 1 || x.heads % x.kv_heads != 0)
    return "query heads are a multiple of key/value heads";
  if (x.head_size < 16 || x.head_size % 16 != 0) return "a head's size is a multiple of 16";
  for (int32_t document = 0; document < x.documents; ++document)
    if (x.bounds[document] < 0 || x.bounds[document] > x.bounds[document + 1])
      return "bounds of documents rise from 0";
  return ok;
}

// One head of a unit, between rows of all heads and rows of its own.
class Head {
 public:
  Head(const Unit& unit, int32_t head, int32_t heads, int32_t width)
      : tokens_(unit.tokens), width_(width), stride_(int64_t{heads} * width),
        offset_((int64_t{unit.first} * heads + head) * width) {}

  void take(const float* from, float* to) const {
    for (int64_t t = 0; t < tokens_; ++t)
      std::memcpy(to + t * width_, from + offset_ + t * stride_, bytes());
  }
  void give(const float* from, float* to) const {
    for (int64_t t = 0; t < tokens_; ++t)
      std::memcpy(to + offset_ + t * stride_, from + t * width_, bytes());
  }

 private:
  size_t bytes() const { return sizeof(float) * static_cast<size_t>(width_); }
  int64_t tokens_, width_, stride_, offset_;
};

// Memory of a thread, which grows with the longest document it meets.
class Desk {
 public:
  // `parts` arrays [tokens, E] and four of [tokens], after the kernels' own scratch.
  float* lay(int64_t tokens, int64_t width, int parts) {
    const int64_t size = learn_scratch(tokens, width) + tokens * (width * parts + 4);
    if (static_cast<int64_t>(numbers_.size()) < size) numbers_.resize(static_cast<size_t>(size));
    return numbers_.data();
  }

 private:
  std::vector<float> numbers_;
};

// body(unit, desk) for all units, each by whichever thread is free; false if memory ran out.
template <typename Body>
bool share_out(const std::vector<Unit>& units, int threads, const Body& body) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  const auto work = [&] {
    try {
      Desk desk;
      for (size_t at = next++; at < units.size(); at = next++) body(units[at], desk);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads && static_cast<size_t>(thread) < units.size(); ++thread)
    others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return !failed;
}

constexpr Error no_memory = "no memory for attention";

}  // namespace

Error attend_documents(const Kernels& kernels, const Packed& x, float* out, float* normaliser,
                       int threads) {
  if (const Error error = check(x); error != ok) return error;
  const int32_t E = x.head_size, group = x.heads / x.kv_heads;
  const bool done = share_out(units_of(x), threads, [&](const Unit& unit, Desk& desk) {
    const int64_t size = int64_t{unit.tokens} * E;
    float* scratch = desk.lay(unit.tokens, E, 4);
    float* q = scratch + learn_scratch(unit.tokens, E);
    float *k = q + size, *v = k + size, *seen = v + size, *largest = seen + size;
    HeadTask task{};
    task.q = q, task.k = k, task.v = v, task.out = seen;
    task.largest = largest, task.total = largest + unit.tokens;
    task.scratch = scratch, task.tokens = unit.tokens, task.head_size = E;
    task.scale = 1 / std::sqrt(static_cast<float>(E));
    const Head shared(unit, unit.kv_head, x.kv_heads, E);
    shared.take(x.k, k), shared.take(x.v, v);
    for (int32_t head = unit.kv_head * group; head < (unit.kv_head + 1) * group; ++head) {
      const Head own(unit, head, x.heads, E);
      own.take(x.q, q);
      kernels.see_document(task);
      own.give(seen, out);
      for (int64_t t = 0; t < unit.tokens; ++t)
        normaliser[(unit.first + t) * x.heads + head] = task.largest[t] + std::log(task.total[t]);
    }
  });
  return done ? ok : no_memory;
}

Error attend_documents_backward(const Kernels& kernels, const Packed& x, const float* out,
                                const float* normaliser, const float* by_out, float* by_q,
                                float* by_k, float* by_v, int threads) {
  if (const Error error = check(x); error != ok) return error;
  const int32_t E = x.head_size, group = x.heads / x.kv_heads;
  const bool done = share_out(units_of(x), threads, [&](const Unit& unit, Desk& desk) {
    const int64_t size = int64_t{unit.tokens} * E;
    float* scratch = desk.lay(unit.tokens, E, 8);
    float* q = scratch + learn_scratch(unit.tokens, E);
    float *k = q + size, *v = k + size, *by = v + size, *seen = by + size;
    float *own_q = seen + size, *own_k = own_q + size, *own_v = own_k + size;
    float *norm = own_v + size, *delta = norm + unit.tokens;
    HeadTask task{};
    task.q = q, task.k = k, task.v = v, task.by_out = by;
    task.normaliser = norm, task.delta = delta;
    task.by_q = own_q, task.by_k = own_k, task.by_v = own_v;
    task.scratch = scratch, task.tokens = unit.tokens, task.head_size = E;
    task.scale = 1 / std::sqrt(static_cast<float>(E));
    const Head shared(unit, unit.kv_head, x.kv_heads, E);
    shared.take(x.k, k), shared.take(x.v, v);
    std::memset(own_k, 0, 2 * sizeof(float) * static_cast<size_t>(size));  // and own_v
    for (int32_t head = unit.kv_head * group; head < (unit.kv_head + 1) * group; ++head) {
      const Head own(unit, head, x.heads, E);
      own.take(x.q, q), own.take(by_out, by), own.take(out, seen);
      std::memset(own_q, 0, sizeof(float) * static_cast<size_t>(size));
      for (int64_t t = 0; t < unit.tokens; ++t) {
        norm[t] = normaliser[(unit.first + t) * x.heads + head];
        float sum = 0;
        for (int64_t e = 0; e < E; ++e) sum += by[t * E + e] * seen[t * E + e];
        delta[t] = sum;
      }
      kernels.unsee_document(task);
      own.give(own_q, by_q);
    }
    shared.give(own_k, by_k), shared.give(own_v, by_v);
  });
  return done ? ok : no_memory;
}

}  // namespace quipu
