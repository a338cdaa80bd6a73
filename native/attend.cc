#include "attend.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

namespace quipu {
namespace {

constexpr int32_t part_rows = 32;    // rows of a part, if one query has not more: they share keys
constexpr int32_t store_block = 64;  // positions whose keys and values are stored together
constexpr int64_t units_per_thread = 4;  // of equal weight these would even out differences
constexpr int64_t row_overhead = 64;     // keys that cost what a row costs beside its keys

// What a thread does at once: the spans of a part, all of them or, if it is split, one.
struct Unit {
  const AttendTask* task;
  AttendPart part;  // its span is the first
  int32_t spans;
  int32_t split;  // which of the plan's, or -1
};

// A part whose spans are shared out to threads; who is last merges them in order.
struct Split {
  int64_t at;      // of the first span's numbers in the plan's
  int32_t spans;
};

int32_t rows_of(const AttendTask& task, const Pool& pool, const AttendPart& part) {
  return (part.last - part.first) * (task.heads / pool.kv_heads);
}

// Kept from call to call, so that a step allocates nothing.
struct Plan {
  std::vector<const AttendTask*> order;
  std::vector<Unit> units;
  std::vector<Split> splits;
  std::vector<float> numbers;  // two parts' for each thread, then those of splits
  std::unique_ptr<std::atomic<int32_t>[]> left;  // spans of each split that are not done
  size_t left_size = 0;

  Gathered gathered(int64_t at, int32_t rows) {
    float* sums = numbers.data() + at;
    return {sums, sums + rows, sums + 2 * rows};
  }
};

int64_t numbers_of(int64_t rows, const Pool& pool) { return rows * (pool.head_size + 2); }

int64_t work_of(int64_t rows, int64_t context) { return rows * (context + row_overhead); }

// `visit(part)` for the parts of one key/value head, those with the longest context first.
template <typename Visit>
void each_part(const AttendTask& task, const Pool& pool, const Visit& visit) {
  const int32_t block = std::max(1, part_rows / (task.heads / pool.kv_heads));
  const int32_t blocks = (task.queries + block - 1) / block;
  for (int32_t i = blocks - 1; i >= 0; --i)
    visit(AttendPart{0, i * block, std::min(task.queries, (i + 1) * block), 0});
}

int64_t work_of(const AttendTask& task, const Pool& pool) {
  int64_t work = 0;
  each_part(task, pool, [&](const AttendPart& part) {
    work += work_of(rows_of(task, pool, part), task.first_position + part.last);
  });
  return work * pool.kv_heads;
}

// Work above `limit` is split, which changes who computes, not what.
void plan_task(const AttendTask& task, const Pool& pool, int64_t limit, Plan& plan,
               int64_t& numbers) {
  each_part(task, pool, [&](AttendPart part) {
    const int32_t context = task.first_position + part.last;
    const int32_t spans = (context + key_span - 1) / key_span;
    const int32_t rows = rows_of(task, pool, part);
    const bool split = spans > 1 && work_of(rows, context) > limit;
    for (part.kv_head = 0; part.kv_head < pool.kv_heads; ++part.kv_head) {
      if (!split) {
        plan.units.push_back({&task, part, spans, -1});
        continue;
      }
      const auto index = static_cast<int32_t>(plan.splits.size());
      plan.splits.push_back({numbers, spans});
      numbers += numbers_of(rows, pool) * spans;
      for (AttendPart one = part; one.span < spans; ++one.span)
        plan.units.push_back({&task, one, 1, index});
    }
  });
}

void plan_step(const Pool& pool, const AttendTask* tasks, int32_t count, int threads, Plan& plan) {
  plan.order.clear(), plan.units.clear(), plan.splits.clear();
  int64_t work = 0;
  for (int32_t i = 0; i < count; ++i) {
    plan.order.push_back(tasks + i);
    if (threads > 1) work += work_of(tasks[i], pool);
  }
  std::stable_sort(plan.order.begin(), plan.order.end(),
                   [](const AttendTask* a, const AttendTask* b) {
                     return a->first_position + a->queries > b->first_position + b->queries;
                   });
  const int64_t limit = threads > 1 ? work / (threads * units_per_thread) : INT64_MAX;
  int64_t numbers = 2 * threads * numbers_of(max_part_rows, pool);
  for (const AttendTask* task : plan.order) plan_task(*task, pool, limit, plan, numbers);
  if (plan.numbers.size() < static_cast<size_t>(numbers))
    plan.numbers.resize(static_cast<size_t>(numbers));
  if (plan.left_size < plan.splits.size()) {
    plan.left_size = 2 * plan.splits.size();
    plan.left = std::make_unique<std::atomic<int32_t>[]>(plan.left_size);
  }
  for (size_t i = 0; i < plan.splits.size(); ++i)
    plan.left[i].store(plan.splits[i].spans, std::memory_order_relaxed);
}

// body(unit, thread): whoever is free takes the next.
template <typename Body>
void share_out(Threads& threads, int64_t units, const Body& body) {
  std::atomic<int64_t> next{0};
  threads.parallel_for(std::min<int64_t>(threads.count(), units), [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread)
      for (int64_t unit; (unit = next.fetch_add(1, std::memory_order_relaxed)) < units;)
        body(unit, thread);
  });
}

struct Step {
  const Kernels& kernels;
  const Pool& pool;
  Plan& plan;

  void whole(const Unit& unit, int64_t thread) const {
    const int32_t rows = rows_of(*unit.task, pool, unit.part);
    const int64_t own = 2 * thread * numbers_of(max_part_rows, pool);
    const Gathered all = plan.gathered(own, rows);
    const Gathered next = plan.gathered(own + numbers_of(max_part_rows, pool), rows);
    kernels.attend(pool, *unit.task, unit.part, all);
    for (AttendPart part = unit.part; ++part.span < unit.spans;) {
      kernels.attend(pool, *unit.task, part, next);
      kernels.merge(all, next, rows, pool.head_size);
    }
    kernels.finish(pool, *unit.task, unit.part, all);
  }

  void one_span(const Unit& unit) const {
    const Split& split = plan.splits[static_cast<size_t>(unit.split)];
    const int32_t rows = rows_of(*unit.task, pool, unit.part);
    const auto of_span = [&](int32_t span) {
      return plan.gathered(split.at + span * numbers_of(rows, pool), rows);
    };
    kernels.attend(pool, *unit.task, unit.part, of_span(unit.part.span));
    if (plan.left[static_cast<size_t>(unit.split)].fetch_sub(1, std::memory_order_acq_rel) != 1)
      return;
    for (int32_t span = 1; span < split.spans; ++span)
      kernels.merge(of_span(0), of_span(span), rows, pool.head_size);
    kernels.finish(pool, *unit.task, unit.part, of_span(0));
  }

  // A single token is stored by the unit that is alone in reading its span of its head.
  void decode_or_attend(const Unit& unit, int64_t thread, bool decode) const {
    const int32_t last = unit.task->first_position / key_span;
    if (decode && unit.part.span + unit.spans > last)
      kernels.store(pool, *unit.task, unit.part.kv_head, 0, 1);
    unit.split < 0 ? whole(unit, thread) : one_span(unit);
  }
};

// Tokens are cut at multiples of store_block positions: those of one group are stored by one thread.
void store_all(const Kernels& kernels, Threads& threads, const Pool& pool, const AttendTask& task) {
  const int32_t first = task.first_position / store_block;
  const int32_t blocks = (task.first_position + task.queries - 1) / store_block - first + 1;
  share_out(threads, int64_t{blocks} * pool.kv_heads, [&](int64_t unit, int64_t) {
    const int32_t block = first + static_cast<int32_t>(unit / pool.kv_heads);
    const int32_t begin = block * store_block - task.first_position;
    kernels.store(pool, task, static_cast<int32_t>(unit % pool.kv_heads), std::max(0, begin),
                  std::min(task.queries, begin + store_block));
  });
}

Error check(const Pool& pool) {
  if (pool.kv_heads < 1 || pool.num_pages < 0 || pool.page_size < slot_group ||
      pool.page_size % slot_group != 0)
    return "attention needs key/value heads and pages of 16, 32, .. slots";
  if (pool.head_size < 16 || pool.head_size > max_head_size || pool.head_size % 16 != 0)
    return "attention needs a head size of 16, 32, .. 256";
  return ok;
}

Error check(const Pool& pool, const AttendTask& task) {
  if (task.queries < 0 || task.first_position < 0 ||
      int64_t{task.first_position} + task.queries > INT32_MAX - key_span)
    return "attention needs queries and a first position that are not negative, below 2^31 - 512";
  if (task.heads < 1 || task.heads % pool.kv_heads != 0 ||
      task.heads / pool.kv_heads > max_group_heads)
    return "attention needs query heads in whole groups of at most 64 to a key/value head";
  const int64_t width = int64_t{task.heads} * pool.head_size;
  const int64_t kv_width = int64_t{pool.kv_heads} * pool.head_size;
  if (task.queries > 1 &&
      (task.q_stride < width || task.out_stride < width || task.kv_stride < kv_width))
    return "attention needs strides of at least a row's width: rows may not overlap";
  const int32_t context = task.queries == 0 ? 0 : task.first_position + task.queries;
  for (int64_t i = 0; i * pool.page_size < context; ++i)
    if (task.pages[i] < 0 || task.pages[i] >= pool.num_pages)
      return "attention was given a page outside the pool";
  return ok;
}

}  // namespace

Error attend(const Kernels& kernels, Threads& threads, const Pool& pool, const AttendTask* tasks,
             int32_t count) {
  if (const Error error = check(pool)) return error;
  bool decode = true;
  for (int32_t i = 0; i < count; ++i) {
    if (const Error error = check(pool, tasks[i])) return error;
    decode = decode && tasks[i].queries <= 1;
  }
  static thread_local Plan kept;
  Plan& plan = kept;  // of this thread, which workers would not find by its name
  plan_step(pool, tasks, count, threads.count(), plan);
  if (!decode)
    for (int32_t i = 0; i < count; ++i)
      if (tasks[i].queries > 0) store_all(kernels, threads, pool, tasks[i]);
  const Step step{kernels, pool, plan};
  share_out(threads, static_cast<int64_t>(plan.units.size()), [&](int64_t unit, int64_t thread) {
    step.decode_or_attend(plan.units[static_cast<size_t>(unit)], thread, decode);
  });
  return ok;
}

}  // namespace quipu
