// Micro-benchmarks: GB/s of gemv beside measured read bandwidth, GOP/s of gemm, us of attention.
//
//   QUIPU_ISA=avx512 bench_kernels [THREADS]
//
// "memory": copies of the matrix that together are larger than any cache, one after another.
// "cached": one matrix again and again. Bytes are those of packed weights and scales; an operation
// is a multiplication or an addition. Each figure is the median of several runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "attend.h"
#include "multiply.h"
#include "weights.h"

using namespace quipu;

namespace {

constexpr size_t beyond_caches = size_t{256} << 20;
constexpr int32_t prefill_rows = 512;
constexpr int runs = 7;
constexpr size_t page = 4096;

struct Buffer {
  explicit Buffer(size_t size)
      : bytes(static_cast<uint8_t*>(std::aligned_alloc(page, (size + page - 1) / page * page)),
              std::free),
        size(size) {
    if (bytes == nullptr) std::abort();
    for (size_t i = 0; i < size; ++i) bytes.get()[i] = static_cast<uint8_t>(i * 37 >> 3 & 0x3f);
  }
  uint8_t* data() const { return bytes.get(); }
  std::unique_ptr<uint8_t, void (*)(void*)> bytes;
  size_t size;
};

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Median seconds of one call of body, repeated until a run is long enough to time.
template <typename Body>
double seconds(const Body& body) {
  body();
  const double start = now_s();
  body();
  const int repeats = static_cast<int>(std::clamp(0.03 / (now_s() - start + 1e-9), 1.0, 1e5));
  std::vector<double> times;
  for (int run = 0; run < runs; ++run) {
    const double begin = now_s();
    for (int i = 0; i < repeats; ++i) body();
    times.push_back((now_s() - begin) / repeats);
  }
  std::sort(times.begin(), times.end());
  return times[runs / 2];
}

uint64_t sink;

double read_gb_per_s(Threads& threads, const Buffer& buffer) {
  const auto* words = reinterpret_cast<const uint64_t*>(buffer.data());
  const double s = seconds([&] {
    threads.parallel_for(static_cast<int64_t>(buffer.size / 64), [&](int64_t begin, int64_t end) {
      uint64_t sums[8] = {};
      for (int64_t i = begin * 8; i < end * 8; i += 8)
        for (int lane = 0; lane < 8; ++lane) sums[lane] ^= words[i + lane];
      for (const uint64_t sum : sums) __atomic_fetch_add(&sink, sum, __ATOMIC_RELAXED);
    });
  });
  return static_cast<double>(buffer.size) / s / 1e9;
}

struct Model {
  const char* name;
  int32_t outputs, inputs;
};

struct Bench {
  const Kernels& kernels;
  Threads& threads;
  const Buffer& weights;  // scales too: their bits are small fp16 numbers
  const Buffer& scratch;
  std::vector<float> x, y;

  Matrix matrix(Format format, const Model& model, size_t copy) const {
    const size_t values = value_bytes(format, model.outputs, model.inputs);
    const size_t all = values + scale_bytes(format, model.outputs, model.inputs);
    uint8_t* at = weights.data() + copy * all;
    return {format, model.outputs, model.inputs, at, reinterpret_cast<uint16_t*>(at + values)};
  }

  Activations activations(Format format, const Model& model, int32_t rows) {
    const Activations out = lay_out(x.data(), rows, model.inputs, scratch.data());
    prepare(kernels, threads, set_of(format), out);
    return out;
  }

  void run(const Matrix& w, const Activations& rows) {
    const Product product = {w, y.data(), w.outputs, false};
    multiply(kernels, threads, rows, &product, 1);
  }

  double gemv_gb_per_s(Format format, const Model& model, int32_t rows, bool cached) {
    const size_t bytes = value_bytes(format, model.outputs, model.inputs) +
                         scale_bytes(format, model.outputs, model.inputs);
    const size_t copies = cached ? 1 : weights.size / bytes;
    const Activations rows_ = activations(format, model, rows);
    const double s = seconds([&] {
      for (size_t copy = 0; copy < copies; ++copy)
        run(matrix(format, model, copy), rows_);
    });
    return static_cast<double>(bytes * copies) / s / 1e9;
  }

  double gemm_gop_per_s(Format format, const Model& model) {
    const double s = seconds([&] {
      const Activations rows = activations(format, model, prefill_rows);
      run(matrix(format, model, 0), rows);
    });
    return 2.0 * prefill_rows * model.outputs * model.inputs / s / 1e9;
  }
};

double attend_us(Bench& bench, int32_t heads, int32_t kv_heads, int32_t queries, int32_t context) {
  const std::vector<int32_t> pages = [&] {
    std::vector<int32_t> out;
    for (int32_t page = 0; page < context / 16; ++page) out.push_back(page);
    return out;
  }();
  const AttendTask task = {bench.x.data(), bench.y.data(), bench.weights.data(),
                           bench.weights.data() + (size_t{64} << 20), pages.data(), queries,
                           context - queries, heads, kv_heads, 64, 16, true, 0.125f};
  return 1e6 * seconds([&] { attend(bench.kernels, bench.threads, task); });
}

void report_attention(Bench& bench) {
  std::printf("\nattention, head size 64, bf16 pages of 16, us\n%-22s %12s %12s\n",
              "heads/kv heads", "1 of 2048", "512 of 512");
  for (const auto& [heads, kv_heads] : {std::pair{8, 8}, std::pair{32, 4}})
    std::printf("%d/%-20d %12.1f %12.1f\n", heads, kv_heads,
                attend_us(bench, heads, kv_heads, 1, 2048),
                attend_us(bench, heads, kv_heads, 512, 512));
}

void report_products(Bench& bench) {
  std::printf("\n%-6s %-16s %12s %12s %12s %12s\n", "format", "outputs x inputs", "gemv memory",
              "gemv cached", "8 rows mem.", "gemm GOP/s");
  const Model models[] = {{"1.1B", 2048, 2048}, {"1.1B", 5632, 2048}, {"1.1B", 2048, 5632},
                          {"nano", 1408, 512},  {"nano", 512, 1408}};
  for (const Format format : {Format::bf16, Format::int8, Format::int4}) {
    const char* name = format == Format::bf16 ? "bf16" : format == Format::int8 ? "int8" : "int4";
    for (const Model& model : models)
      std::printf("%-6s %-5s %4dx%-5d %12.1f %12.1f %12.1f %12.0f\n", name, model.name,
                  model.outputs, model.inputs, bench.gemv_gb_per_s(format, model, 1, false),
                  bench.gemv_gb_per_s(format, model, 1, true),
                  bench.gemv_gb_per_s(format, model, 8, false),
                  bench.gemm_gop_per_s(format, model));
  }
}

}  // namespace

int main(int count, char** arguments) {
  const IsaChoice choice = choose_isa(std::getenv("QUIPU_ISA"), detect_isa());
  if (choice.error != nullptr) {
    std::fprintf(stderr, "%s\n", choice.error);
    return 2;
  }
  const int wanted = count > 1 ? std::atoi(arguments[1]) : default_threads();
  Threads threads(std::max(1, wanted));
  const Buffer weights(beyond_caches), scratch(activation_bytes(prefill_rows, 5632));
  const Buffer small(size_t{512} << 10);
  const Kernels& kernels = kernels_of(choice.isa);
  std::printf("%s, %d threads; read bandwidth: %.1f GB/s memory, %.1f GB/s from 512 KiB\n",
              isa_name(kernels.isa), threads.count(), read_gb_per_s(threads, weights),
              read_gb_per_s(threads, small));
  std::vector<float> x(size_t{prefill_rows} * 5632), y(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 61) / 30 - 1;
  Bench bench{kernels, threads, weights, scratch, std::move(x), std::move(y)};
  report_products(bench);
  report_attention(bench);
  return 0;
}
