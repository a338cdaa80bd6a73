// Read bandwidth from buffers of several sizes: bandwidth THREADS prints JSON, bytes to GB/s.
//
// Every thread reads its own part again and again, 64 bytes at a time into eight sums, so that
// nothing but loads limits it; the best of several runs counts, because this is a limit.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

constexpr size_t sizes[] = {size_t{256} << 10, size_t{1} << 20, size_t{8} << 20, size_t{24} << 20,
                            size_t{1} << 30};
constexpr double run_s = 0.05;
constexpr int runs = 7;
constexpr size_t step = 32;  // words read in one turn of the loop
constexpr size_t line_words = 8;
constexpr size_t ahead = 2048 / sizeof(uint64_t);

std::atomic<uint64_t> sink;

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

uint64_t read_all(const uint64_t* words, size_t count) {
  uint64_t sums[step] = {};
  for (size_t i = 0; i < count; i += step) {
    // Asking early is what a kernel that streams weights does; past the end it is harmless.
    for (size_t line = 0; line < step; line += line_words)
      __builtin_prefetch(words + i + ahead + line);
    for (size_t lane = 0; lane < step; ++lane) sums[lane] += words[i + lane];
  }
  uint64_t all = 0;
  for (const uint64_t sum : sums) all += sum;
  return all;
}

// Seconds in which all threads read their parts `passes` times; they start together.
double seconds(const std::vector<std::vector<uint64_t>>& parts, size_t passes) {
  std::atomic<size_t> waiting{parts.size()};
  std::vector<double> begun(parts.size()), ended(parts.size());
  std::vector<std::thread> threads;
  for (size_t number = 0; number < parts.size(); ++number)
    threads.emplace_back([&, number] {
      --waiting;
      while (waiting != 0) std::this_thread::yield();
      begun[number] = now_s();
      for (size_t pass = 0; pass < passes; ++pass)
        sink += read_all(parts[number].data(), parts[number].size());
      ended[number] = now_s();
    });
  for (std::thread& thread : threads) thread.join();
  return *std::max_element(ended.begin(), ended.end()) -
         *std::min_element(begun.begin(), begun.end());
}

double gb_per_s(size_t bytes, size_t threads) {
  const size_t words = bytes / threads / sizeof(uint64_t) / step * step;
  const std::vector<std::vector<uint64_t>> parts(threads, std::vector<uint64_t>(words, 1));
  const double once = seconds(parts, 1);
  const size_t passes = std::max<size_t>(1, static_cast<size_t>(run_s / once));
  double best = 1e30;
  for (int run = 0; run < runs; ++run) best = std::min(best, seconds(parts, passes));
  return static_cast<double>(words * sizeof(uint64_t) * threads * passes) / best / 1e9;
}

}  // namespace

int main(int count, char** arguments) {
  const int asked = count > 1 ? std::atoi(arguments[1]) : 0;
  const size_t threads =
      asked > 0 ? static_cast<size_t>(asked) : std::max(1u, std::thread::hardware_concurrency());
  const char* separator = "{";
  for (const size_t bytes : sizes) {
    std::printf("%s\"%zu\": %.2f", separator, bytes, gb_per_s(bytes, threads));
    separator = ", ";
  }
  std::printf("}\n");
  return 0;
}
