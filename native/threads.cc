#include "threads.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sched.h>
#endif

namespace quipu {
namespace {

// About as long as a short loop: who waits for one at another's end need not ask the system.
constexpr int spins_before_yield = 200;
// Longer than the serial code between two loops of a layer, and than Python between two steps. When
// other programs want the processors too, the thread waited for may need this one's: yielding gives
// it away, where spinning would hold it for nothing.
constexpr std::chrono::microseconds yielding_before_sleep{100};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Returns once `value` differs from `old`.
void wait_for_change(const std::atomic<uint32_t>& value, uint32_t old) {
  const auto changed = [&] { return value.load(std::memory_order_acquire) != old; };
  for (int spin = 0; spin < spins_before_yield; ++spin) {
    if (changed()) return;
    pause();
  }
  const auto end = std::chrono::steady_clock::now() + yielding_before_sleep;
  while (std::chrono::steady_clock::now() < end) {
    if (changed()) return;
    std::this_thread::yield();
  }
  value.wait(old, std::memory_order_acquire);
}

int affinity() {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

bool read_text(const char* path, char* text, size_t size) {
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return false;
  const size_t got = std::fread(text, 1, size - 1, file);
  std::fclose(file);
  text[got] = '\0';
  return true;
}

// The path of this process in the unified hierarchy: the line "0::/path".
bool own_group(char* path, size_t size) {
  char text[4096];
  if (!read_text("/proc/self/cgroup", text, sizeof text)) return false;
  const char* line = std::strstr(text, "0::");
  if (line == nullptr) return false;
  const size_t length = std::strcspn(line + 3, "\n");
  if (length >= size) return false;
  std::memcpy(path, line + 3, length);
  path[length] = '\0';
  return true;
}

// The tightest limit from the process's group up to the root; 0 where there is none.
int group_limit() {
  char group[2048], path[2200], text[128];
  if (!own_group(group, sizeof group)) return 0;
  int limit = 0;
  for (bool more = true; more;) {
    std::snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    const int granted = read_text(path, text, sizeof text) ? granted_by_cpu_max(text) : 0;
    if (granted > 0) limit = limit == 0 ? granted : std::min(limit, granted);
    char* slash = std::strrchr(group, '/');
    more = slash != nullptr;
    if (more) *slash = '\0';
  }
  return limit;
}

}  // namespace

int granted_by_cpu_max(const char* text) {
  char* rest = nullptr;
  const long long quota = std::strtoll(text, &rest, 10);
  if (rest == text || quota <= 0) return 0;
  const long long period = std::strtoll(rest, nullptr, 10);
  if (period <= 0) return 0;
  return static_cast<int>(std::min<long long>((quota + period - 1) / period, 1 << 16));
}

int default_threads() {
  const int limit = group_limit();
  return limit == 0 ? affinity() : std::min(limit, affinity());
}

Threads::Threads(int count) {
  for (int thread = 1; thread < count; ++thread)
    workers_.emplace_back([this, thread] { work(thread); });
}

Threads::~Threads() {
  stop_.store(true, std::memory_order_relaxed);
  loop_.fetch_add(1, std::memory_order_release);
  loop_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void Threads::share(int thread) const {
  const int64_t begin = size_ * thread / count();
  const int64_t end = size_ * (thread + 1) / count();
  if (begin < end) call_(body_, begin, end);
}

void Threads::work(int thread) {
  for (uint32_t seen = 0;;) {
    wait_for_change(loop_, seen);
    seen = loop_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    share(thread);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) running_.notify_one();
  }
}

void Threads::run(int64_t size, const void* body, Call call) {
  size_ = size;
  body_ = body;
  call_ = call;
  if (workers_.empty() || size <= 1) {
    if (size > 0) call(body, 0, size);
    return;
  }
  running_.store(static_cast<uint32_t>(workers_.size()), std::memory_order_relaxed);
  loop_.fetch_add(1, std::memory_order_release);
  loop_.notify_all();
  share(0);
  for (uint32_t left; (left = running_.load(std::memory_order_acquire)) != 0;)
    wait_for_change(running_, left);
}

}  // namespace quipu
