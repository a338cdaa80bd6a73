// Attention of one sequence's new queries over its keys and values in pages.
#pragma once

#include "error.h"
#include "kernels.h"
#include "threads.h"

namespace quipu {

// Shares key/value heads and blocks of queries out to the threads; AttendTask gives the shapes.
// Promise: a query's result depends on its own context alone, bit for bit, not on the chunk it came
// in, the page size or the number of threads.
Error attend(const Kernels& kernels, Threads& threads, const AttendTask& task);

}  // namespace quipu
