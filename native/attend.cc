#include "attend.h"

#include <algorithm>

namespace quipu {
namespace {

Error check(const AttendTask& task) {
  if (task.queries < 0 || task.first_position < 0 || task.page_size < 1)
    return "attention needs queries, a position and a page size that are not negative";
  if (task.head_size < 16 || task.head_size > max_head_size || task.head_size % 16 != 0)
    return "attention needs a head size of 16, 32, .. 256";
  if (task.kv_heads < 1 || task.heads < 1 || task.heads % task.kv_heads != 0 ||
      task.heads / task.kv_heads > max_group_heads)
    return "attention needs query heads in whole groups of at most 64 to a key/value head";
  return ok;
}

}  // namespace

Error attend(const Kernels& kernels, Threads& threads, const AttendTask& task) {
  if (const Error error = check(task)) return error;
  const int64_t blocks = (task.queries + query_block - 1) / query_block;
  threads.parallel_for(blocks * task.kv_heads, [&](int64_t begin, int64_t end) {
    for (int64_t work = begin; work < end; ++work) {
      const int32_t kv_head = static_cast<int32_t>(work / blocks);
      const int32_t first = static_cast<int32_t>(work % blocks) * query_block;
      kernels.attend(task, kv_head, first, std::min(first + query_block, task.queries));
    }
  });
  return ok;
}

}  // namespace quipu
