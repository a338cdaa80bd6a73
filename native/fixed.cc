#include "fixed.h"

#include <atomic>
#include <new>
#include <thread>
#include <vector>

namespace quipu {
namespace {

constexpr int64_t packed_words = int64_t{1} << 20;

int64_t whole(int64_t outer, int64_t width) { return (outer + width - 1) / width * width; }

int64_t stretches(const FixedTask& task) { return whole(task.depth, fixed_depth) / fixed_depth; }

// A factor from its row `first` on.
FixedFactor part_of(const FixedFactor& factor, int64_t first) {
  return {factor.x + (factor.turned ? first : first * factor.stride), factor.stride, factor.turned};
}

FixedTask rows_of(const FixedTask& task, int32_t first, int32_t last) {
  FixedTask part = task;
  part.a = part_of(task.a, first);
  part.y += first * task.y_stride;
  part.rows = last - first;
  return part;
}

FixedTask columns_of(const FixedTask& task, int32_t first, int32_t last) {
  FixedTask part = task;
  part.b = part_of(task.b, first);
  part.y += first;
  part.columns = last - first;
  return part;
}

// Columns whose b is packed at a time: all, but where a is not turned no more than fill a cache.
int32_t columns_at_once(const FixedTask& task) {
  if (task.a.turned) return task.columns;
  const int64_t some = packed_words / (stretches(task) * (fixed_depth / 2));
  const int64_t panels = some / fixed_panel < 1 ? 1 : some / fixed_panel;
  return panels * fixed_panel < task.columns ? static_cast<int32_t>(panels * fixed_panel)
                                             : task.columns;
}

// Packed b and a of one stretch, or all stretches of b and a block of a; beside them their scales,
// and as many factors again as one of them has at a time.
struct Scratch {
  explicit Scratch(const FixedTask& task) {
    const int64_t columns = whole(columns_at_once(task), fixed_panel);
    const int64_t rows = whole(task.rows, fixed_rows);
    const int64_t outer = task.a.turned ? columns + rows : stretches(task) * columns + fixed_rows;
    words = static_cast<size_t>(outer * (fixed_depth / 2));
    scales = static_cast<size_t>(outer + (columns > rows ? columns : rows));
  }
  size_t words, scales;
};

// Scratch of a thread is kept from product to product: fresh memory would cost more than packing.
bool multiply_here(const Kernels& kernels, FixedTask task) {
  thread_local std::vector<int32_t> words;
  thread_local std::vector<float> scales;
  const Scratch needed(task);
  try {
    if (words.size() < needed.words) words.resize(needed.words);
    if (scales.size() < needed.scales) scales.resize(needed.scales);
  } catch (const std::bad_alloc&) {
    return false;
  }
  task.words = words.data();
  task.scales = scales.data();
  const int32_t some = columns_at_once(task);
  for (int32_t first = 0; first < task.columns; first += some) {
    const int32_t left = task.columns - first;
    kernels.multiply_fixed(columns_of(task, first, first + (left < some ? left : some)));
  }
  return true;
}

}  // namespace

Error multiply_fixed(const Kernels& kernels, FixedTask task, int threads) {
  if (task.rows < 0 || task.columns < 0 || task.depth < 1)
    return "a product in fixed point sums over something";
  const int32_t blocks = (task.rows + fixed_rows - 1) / fixed_rows;
  const int32_t parts = threads < blocks ? threads : blocks;
  if (parts < 2) return multiply_here(kernels, task) ? ok : "no memory for a product";
  std::atomic<bool> failed{false};
  const auto work = [&](int32_t part) {
    const auto bound = [&](int32_t at) {
      const int64_t row = int64_t{blocks} * at / parts * fixed_rows;
      return static_cast<int32_t>(row < task.rows ? row : task.rows);
    };
    if (!multiply_here(kernels, rows_of(task, bound(part), bound(part + 1)))) failed = true;
  };
  std::vector<std::thread> others;
  for (int32_t part = 1; part < parts; ++part) others.emplace_back(work, part);
  work(0);
  for (std::thread& other : others) other.join();
  return failed ? "no memory for a product" : ok;
}

}  // namespace quipu
