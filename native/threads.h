// A pool of threads for loops over ranges. Workers spin a little after each loop, then sleep.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace quipu {

// Threads a process may use: processors of its affinity mask, less if a control group says so.
int default_threads();

// Whole processors that a cgroup v2 `cpu.max` text grants, rounded up; 0 where it sets no limit.
int granted_by_cpu_max(const char* text);

// One loop at a time, from one thread at a time; loops do not nest.
class Threads {
 public:
  explicit Threads(int count);  // at least 1; the calling thread is one of them
  ~Threads();
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  // body(begin, end) on each thread's share of [0, size). Shares depend on size and count alone, so
  // that a thread finds in its own cache the weights it read the step before.
  template <typename Body>
  void parallel_for(int64_t size, const Body& body) {
    run(size, &body, [](const void* it, int64_t begin, int64_t end) {
      (*static_cast<const Body*>(it))(begin, end);
    });
  }

 private:
  using Call = void (*)(const void* body, int64_t begin, int64_t end);

  void run(int64_t size, const void* body, Call call);
  void share(int thread) const;
  void work(int thread);

  std::vector<std::thread> workers_;
  int64_t size_ = 0;
  const void* body_ = nullptr;
  Call call_ = nullptr;
  alignas(64) std::atomic<uint32_t> loop_{0};     // counts loops; the stop is one more
  alignas(64) std::atomic<uint32_t> running_{0};  // workers that have not finished this loop
  std::atomic<bool> stop_{false};
};

}  // namespace quipu
