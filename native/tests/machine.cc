// Detection, the choice of an instruction set, and the thread pool.
#include <atomic>
#include <cstring>

#include "check.h"
#include "threads.h"

using namespace quipu;

namespace {

void a_forced_set_is_taken_or_refused() {
  CHECK(choose_isa(nullptr, Isa::avx2).isa == Isa::avx2);
  CHECK(choose_isa("", Isa::avx512).isa == Isa::avx512);
  CHECK(choose_isa("portable", Isa::amx).isa == Isa::portable);
  CHECK(choose_isa("avx2", Isa::avx512).error == nullptr);
  CHECK(choose_isa("avx512", Isa::avx2).error != nullptr);
  CHECK(choose_isa("sse9", Isa::amx).error != nullptr);
}

void every_set_gives_kernels_it_can_run() {
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512, Isa::amx})
    CHECK(kernels_of(isa).isa <= isa);
  CHECK(std::strcmp(isa_name(Isa::avx512), "avx512") == 0);
}

void control_group_limits_are_read() {
  CHECK(granted_by_cpu_max("max 100000\n") == 0);
  CHECK(granted_by_cpu_max("200000 100000\n") == 2);
  CHECK(granted_by_cpu_max("150000 100000\n") == 2);
  CHECK(granted_by_cpu_max("50000 100000\n") == 1);
  CHECK(granted_by_cpu_max("") == 0);
  CHECK(granted_by_cpu_max("100000") == 0);
  CHECK(default_threads() >= 1);
}

void every_index_is_visited_once(int count, int64_t size) {
  Threads threads(count);
  CHECK(threads.count() == count);
  for (int repeat = 0; repeat < 50; ++repeat) {
    std::vector<int> visits(static_cast<size_t>(size), 0);
    threads.parallel_for(size, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
    });
    for (const int visit : visits) CHECK(visit == 1);
  }
}

void sleeping_workers_wake() {
  Threads threads(3);
  std::atomic<int> sum{0};
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const auto count = [&](int64_t begin, int64_t end) { sum += static_cast<int>(end - begin); };
    threads.parallel_for(3, count);
  }
  CHECK(sum == 9);
}

}  // namespace

int main() {
  std::printf("this machine: %s, %d threads\n", isa_name(detect_isa()), default_threads());
  a_forced_set_is_taken_or_refused();
  every_set_gives_kernels_it_can_run();
  control_group_limits_are_read();
  for (const int count : {1, 2, 5})
    for (const int64_t size : {0, 1, 3, 1000}) every_index_is_visited_once(count, size);
  sleeping_workers_wake();
  return verdict();
}
