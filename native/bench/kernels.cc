// Micro-benchmarks: GB/s of few rows beside measured read bandwidth, GOP/s of many rows beside
// measured peaks of dot products, us of attention.
//
//   QUIPU_ISA=avx512 bench_kernels [THREADS [products|attention]]
//
// "memory": copies of the matrix that together are larger than any cache, one after another.
// "cached": one matrix again and again. Bytes are those of packed weights and scales; an operation
// is a multiplication or an addition. Each figure is of the fastest of several runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "attend.h"
#include "multiply.h"
#include "peak.h"
#include "weights.h"

using namespace quipu;

namespace {

constexpr size_t beyond_caches = size_t{256} << 20;
constexpr int32_t prefill_rows = 512;
constexpr int runs = 40, rounds = 12;
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

// Least seconds of one call of body, repeated until a run is long enough to time and short enough
// to escape other programs.
template <typename Body>
double seconds(const Body& body) {
  body();
  const double start = now_s();
  body();
  const int repeats = static_cast<int>(std::clamp(0.0005 / (now_s() - start + 1e-9), 1.0, 1e5));
  double least = 1e9;
  for (int run = 0; run < runs; ++run) {
    const double begin = now_s();
    for (int i = 0; i < repeats; ++i) body();
    least = std::min(least, (now_s() - begin) / repeats);
  }
  return least;
}

// Sum of the least seconds of each of body(0), body(1)... body(count - 1), which run in a round.
template <typename Body>
double seconds_of_round(size_t count, const Body& body) {
  std::vector<double> least(count, 1e9);
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < count; ++i) {
      const double begin = now_s();
      body(i);
      least[i] = std::min(least[i], now_s() - begin);
    }
  }
  return std::accumulate(least.begin(), least.end(), 0.0);
}

uint64_t sink;

double read_gb_per_s(Threads& threads, const Buffer& buffer) {
  constexpr size_t part = size_t{512} << 10;
  const double s = seconds_of_round(buffer.size / part, [&](size_t i) {
    const auto* words = reinterpret_cast<const uint64_t*>(buffer.data() + i * part);
    threads.parallel_for(static_cast<int64_t>(part / 64), [&](int64_t begin, int64_t end) {
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

  double gb_per_s(Format format, const Model& model, int32_t rows, bool cached) {
    const size_t bytes = value_bytes(format, model.outputs, model.inputs) +
                         scale_bytes(format, model.outputs, model.inputs);
    const size_t copies = cached ? 1 : weights.size / bytes;
    const Activations prepared = activations(format, model, rows);
    const auto once = [&](size_t copy) { run(matrix(format, model, copy), prepared); };
    const double s = cached ? seconds([&] { once(0); }) : seconds_of_round(copies, once);
    return static_cast<double>(bytes * copies) / s / 1e9;
  }

  // In slices of outputs, each short enough to escape other programs.
  double gop_per_s(Format format, const Model& model) {
    constexpr int32_t slice = 128;
    const Activations prepared = activations(format, model, prefill_rows);
    const size_t values = value_bytes(format, slice, model.inputs);
    const size_t scales = scale_bytes(format, slice, model.inputs) / sizeof(uint16_t);
    const Matrix whole = matrix(format, model, 0);
    const double s = seconds_of_round(static_cast<size_t>(model.outputs / slice), [&](size_t i) {
      run({format, slice, model.inputs, whole.values + i * values, whole.scales + i * scales},
          prepared);
    });
    return 2.0 * prefill_rows * model.outputs * model.inputs / s / 1e9;
  }
};

// Of all threads together; 0 where no loop was written for the instruction set.
double peak_gop_per_s(const Kernels& kernels, Threads& threads, Format format) {
#if defined(QUIPU_PEAK_AVX512)
  if (kernels.isa < Isa::avx512) return 0;
  constexpr int64_t loops = 2000;
  int64_t operations = 0;
  const double s = seconds([&] {
    threads.parallel_for(threads.count(), [&](int64_t begin, int64_t) {
      const int64_t mine = format == Format::fp32   ? peak_fp32(loops)
                           : format == Format::bf16 ? peak_bf16(loops)
                                                    : peak_int8(loops);
      if (begin == 0) operations = mine;
    });
  });
  return static_cast<double>(operations) * threads.count() / s / 1e9;
#else
  return static_cast<void>(kernels), static_cast<void>(threads), static_cast<void>(format), 0;
#endif
}

struct Heads {
  const char* name;
  int32_t heads, kv_heads, head_size;
};

const char* name_of(KvFormat format) {
  return format == KvFormat::fp32 ? "fp32" : format == KvFormat::bf16 ? "bf16" : "int8";
}

// Of one sequence whose pages of 16 lie in order: its last queries against all that came before.
double attend_us(Bench& bench, KvFormat format, const Heads& model, int32_t queries,
                 int32_t context) {
  std::vector<int32_t> pages;
  for (int32_t page = 0; page < context / 16; ++page) pages.push_back(page);
  Pool pool = {format, model.kv_heads, model.head_size, 16, context / 16, bench.weights.data(),
               nullptr};
  pool.values = pool.keys + key_bytes(pool);
  const int32_t width = model.heads * model.head_size, kv = model.kv_heads * model.head_size;
  const float* q = bench.x.data();
  const AttendTask task = {q, q + 7, q + 17, bench.y.data(), pages.data(), queries,
                           context - queries, model.heads, width, kv, width, 0.125f};
  return 1e6 * seconds([&] { attend(bench.kernels, bench.threads, pool, &task, 1); });
}

// Decoding reads keys and values (GB/s), prefill multiplies (an addition is an operation too).
void report_attention(Bench& bench) {
  std::printf("\nattention, us of a layer\n%-6s %-5s %14s %14s %8s %14s %9s\n", "pages", "model",
              "1 of 128", "1 of 2048", "GB/s", "512 of 512", "GOP/s");
  const Heads models[] = {{"nano", 8, 8, 64}, {"1.1B", 32, 4, 64}, {"7B", 32, 32, 128}};
  for (const KvFormat format : {KvFormat::fp32, KvFormat::bf16, KvFormat::int8}) {
    for (const Heads& model : models) {
      const double decode = attend_us(bench, format, model, 1, 2048);
      const double prefill = attend_us(bench, format, model, 512, 512);
      const Pool pool = {format, model.kv_heads, model.head_size, 16, 128, nullptr, nullptr};
      std::printf("%-6s %-5s %14.1f %14.1f %8.1f %14.1f %9.0f\n", name_of(format), model.name,
                  attend_us(bench, format, model, 1, 128), decode,
                  2.0 * static_cast<double>(key_bytes(pool)) / decode / 1e3, prefill,
                  4.0 * model.heads * model.head_size * 512 * 513 / 2 / prefill / 1e3);
    }
  }
}

void report_products(Bench& bench) {
  const Model models[] = {{"7B", 4096, 4096},   {"1.1B", 2048, 2048}, {"1.1B", 5632, 2048},
                          {"1.1B", 2048, 5632}, {"nano", 1408, 512},  {"nano", 512, 1408}};
  const std::pair<Format, const char*> formats[] = {{Format::fp32, "fp32"},
                                                    {Format::bf16, "bf16"},
                                                    {Format::int8, "int8"},
                                                    {Format::int4, "int4"}};
  for (const auto& [format, name] : formats) {
    const double peak = peak_gop_per_s(bench.kernels, bench.threads, format);
    std::printf("\n%s: GB/s of weights for some rows; GOP/s of %d rows, peak %.0f\n", name,
                prefill_rows, peak);
    std::printf("%-16s %8s %8s %8s %8s | %8s %8s | %8s\n", "outputs x inputs", "memory 1", "2", "4",
                "8", "cached 1", "8", "GOP/s");
    for (const Model& model : models) {
      std::printf("%-5s %4dx%-5d", model.name, model.outputs, model.inputs);
      for (const int32_t rows : {1, 2, 4, 8})
        std::printf(" %8.1f", bench.gb_per_s(format, model, rows, false));
      for (const int32_t rows : {1, 8})
        std::printf("%s %8.1f", rows == 1 ? " |" : "", bench.gb_per_s(format, model, rows, true));
      const double gop = bench.gop_per_s(format, model);
      std::printf(" | %8.0f %3.0f %%\n", gop, peak > 0 ? 100 * gop / peak : 0);
      std::fflush(stdout);
    }
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
  const char* part = count > 2 ? arguments[2] : "";
  if (std::strcmp(part, "attention") != 0) report_products(bench);
  if (std::strcmp(part, "products") != 0) report_attention(bench);
  return 0;
}
