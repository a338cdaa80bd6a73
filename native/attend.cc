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
  bool stores;    // first the part's keys and values, which no other unit of this head reads
};

// Tokens that are stored before anybody attends.
struct Stored {
  const AttendTask* task;
  int32_t kv_head;
  int32_t first, last;
};

// A part whose spans are shared out to threads; who is last merges them in order.
struct Split {
  int64_t at;  // of the first span's numbers in the plan's
  int32_t spans;
};

int32_t rows_of(const AttendTask& task, const Pool& pool, const AttendPart& part) {
  return (part.last - part.first) * (task.heads / pool.kv_heads);
}

struct alignas(64) Line {
  float numbers[16];
};

// Kept from call to call, so that a step allocates nothing.
struct Plan {
  std::vector<const AttendTask*> order;
  std::vector<Unit> units;
  std::vector<Split> splits;
  std::vector<Stored> stored;
  std::vector<Line> lines;  // numbers of two parts for each thread, then those of splits
  std::unique_ptr<std::atomic<int32_t>[]> left;  // spans of each split that are not done
  size_t left_size = 0;

  Gathered gathered(int64_t at, int32_t rows, int32_t head_size) {
    float* sums = reinterpret_cast<float*>(lines.data() + at);
    float* totals = sums + int64_t{rows} * head_size;
    return {totals, totals + rows, sums};
  }
};

int64_t lines_of(int64_t rows, const Pool& pool) {
  return rows * pool.head_size / 16 + (2 * rows + 15) / 16;
}

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

// Cut at multiples of store_block positions, so that one thread stores the tokens of a group.
void plan_stores(const AttendTask& task, const Pool& pool, Plan& plan) {
  for (int32_t first = 0; first < task.queries;) {
    const int32_t room = store_block - (task.first_position + first) % store_block;
    const int32_t last = first + std::min(room, task.queries - first);
    for (int32_t kv_head = 0; kv_head < pool.kv_heads; ++kv_head)
      plan.stored.push_back({&task, kv_head, first, last});
    first = last;
  }
}

// Work above `limit` is split, which changes who computes, not what.
void plan_part(const AttendTask& task, const Pool& pool, AttendPart part, int64_t limit,
               Plan& plan, int64_t& lines) {
  const int32_t context = task.first_position + part.last;
  const int32_t spans = (context + key_span - 1) / key_span;
  const int32_t rows = rows_of(task, pool, part);
  const bool split = spans > 1 && work_of(rows, context) > limit;
  const bool one_span = task.first_position / key_span == spans - 1;
  const bool stores = part.last - part.first == task.queries && (!split || one_span);
  if (!stores && part.first == 0) plan_stores(task, pool, plan);
  for (part.kv_head = 0; part.kv_head < pool.kv_heads; ++part.kv_head) {
    if (!split) {
      plan.units.push_back({&task, part, spans, -1, stores});
      continue;
    }
    const auto index = static_cast<int32_t>(plan.splits.size());
    plan.splits.push_back({lines, spans});
    lines += lines_of(rows, pool) * spans;
    for (AttendPart one = part; one.span < spans; ++one.span)
      plan.units.push_back({&task, one, 1, index, stores && one.span == spans - 1});
  }
}

void plan_step(const Pool& pool, const AttendTask* tasks, int32_t count, int threads, Plan& plan) {
  plan.order.clear(), plan.units.clear(), plan.splits.clear(), plan.stored.clear();
  int64_t work = 0;
  for (int32_t i = 0; i < count; ++i) {
    plan.order.push_back(tasks + i);
    if (threads > 1) work += work_of(tasks[i], pool);
  }
  std::sort(plan.order.begin(), plan.order.end(), [](const AttendTask* a, const AttendTask* b) {
    return a->first_position + a->queries > b->first_position + b->queries;
  });
  const int64_t limit = threads > 1 ? work / (threads * units_per_thread) : INT64_MAX;
  int64_t lines = 2 * threads * lines_of(max_part_rows, pool);
  for (const AttendTask* task : plan.order)
    each_part(*task, pool, [&](const AttendPart& part) {
      plan_part(*task, pool, part, limit, plan, lines);
    });
  if (plan.lines.size() < static_cast<size_t>(lines))
    plan.lines.resize(static_cast<size_t>(lines));
  if (plan.left_size < plan.splits.size()) {
    plan.left_size = 2 * plan.splits.size();
    plan.left = std::make_unique<std::atomic<int32_t>[]>(plan.left_size);
  }
  for (size_t i = 0; i < plan.splits.size(); ++i)
    plan.left[i].store(plan.splits[i].spans, std::memory_order_relaxed);
}

// body(unit, thread): whoever is free takes the next.
template <typename Body>
void share_out(Threads& threads, size_t units, const Body& body) {
  std::atomic<size_t> next{0};
  const auto shares = std::min(static_cast<int64_t>(units), int64_t{threads.count()});
  threads.parallel_for(shares, [&](int64_t begin, int64_t end) {
    for (int64_t thread = begin; thread < end; ++thread)
      for (size_t unit; (unit = next.fetch_add(1, std::memory_order_relaxed)) < units;)
        body(unit, thread);
  });
}

struct Step {
  const Kernels& kernels;
  const Pool& pool;
  Plan& plan;

  void whole(const Unit& unit, int64_t thread) const {
    const int32_t rows = rows_of(*unit.task, pool, unit.part);
    const int64_t own = 2 * thread * lines_of(max_part_rows, pool);
    const Gathered all = plan.gathered(own, rows, pool.head_size);
    const Gathered next = plan.gathered(own + lines_of(max_part_rows, pool), rows, pool.head_size);
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
      return plan.gathered(split.at + span * lines_of(rows, pool), rows, pool.head_size);
    };
    kernels.attend(pool, *unit.task, unit.part, of_span(unit.part.span));
    if (plan.left[static_cast<size_t>(unit.split)].fetch_sub(1, std::memory_order_acq_rel) != 1)
      return;
    for (int32_t span = 1; span < split.spans; ++span)
      kernels.merge(of_span(0), of_span(span), rows, pool.head_size);
    kernels.finish(pool, *unit.task, unit.part, of_span(0));
  }

  void run(const Unit& unit, int64_t thread) const {
    if (unit.stores)
      kernels.store(pool, *unit.task, unit.part.kv_head, unit.part.first, unit.part.last);
    unit.split < 0 ? whole(unit, thread) : one_span(unit);
  }
};

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
  for (int32_t i = 0; i < count; ++i)
    if (const Error error = check(pool, tasks[i])) return error;
  static thread_local Plan kept;
  Plan& plan = kept;  // of this thread, which workers would not find by its name
  plan_step(pool, tasks, count, threads.count(), plan);
  share_out(threads, plan.stored.size(), [&](size_t index, int64_t) {
    const Stored& tokens = plan.stored[index];
    kernels.store(pool, *tokens.task, tokens.kv_head, tokens.first, tokens.last);
  });
  const Step step{kernels, pool, plan};
  share_out(threads, plan.units.size(), [&](size_t index, int64_t thread) {
    step.run(plan.units[index], thread);
  });
  return ok;
}

}  // namespace quipu
