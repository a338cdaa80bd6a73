// Attention of many sequences' new queries over their keys and values in pages.
#pragma once

#include "error.h"
#include "kernels.h"
#include "threads.h"

namespace quipu {

// Stores the tasks' new keys and values and attends to all their queries: one call for a layer's
// whole step, prefill chunks and decodes together. Pages that a task writes (those of positions
// first_position..first_position + queries) belong to it alone; others may be shared.
// Promise: a query's result depends on its own context alone, bit for bit, not on the chunk it came
// in, the page size, other tasks or the number of threads.
Error attend(const Kernels& kernels, Threads& threads, const Pool& pool, const AttendTask* tasks,
             int32_t count);

}  // namespace quipu
