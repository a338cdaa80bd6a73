// Just enough to test with: named checks that count failures, seeded numbers, every available ISA.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "isa.h"
#include "kernels.h"

namespace quipu {

inline int failures = 0;

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) {                                                          \
      std::printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);        \
      ++failures;                                                                \
    }                                                                            \
  } while (false)

// The largest |got - expected| must stay within tolerance * (scale of what is expected).
inline void check_close(const char* what, const char* isa, const std::vector<float>& got,
                        const std::vector<double>& expected, double tolerance) {
  double worst = 0, scale = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    const double off = std::fabs(got[i] - expected[i]);
    worst = std::isnan(off) ? INFINITY : std::fmax(worst, off);
    scale = std::fmax(scale, std::fabs(expected[i]));
  }
  if (worst <= tolerance * scale) return;
  std::printf("%s on %s: off by %.3g of %.3g, allowed %.3g\n", what, isa, worst, scale, tolerance);
  ++failures;
}

// Numbers that are the same everywhere: a 64-bit congruential generator, its upper bits.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 1) {}
  float uniform() {  // in -1..1
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int32_t>(state_ >> 32)) / 2147483648.0f;
  }
  // Sum of three: bell-shaped, a few values far out, as weights and activations are.
  float bell() { return uniform() + uniform() + uniform(); }
  std::vector<float> bells(size_t size) {
    std::vector<float> out(size);
    for (float& x : out) x = bell();
    return out;
  }

 private:
  uint64_t state_;
};

// Every table that both build and machine have; says which instruction sets are left out.
inline std::vector<const Kernels*> available_kernels() {
  const Kernels* all[max_kernels];
  const int32_t count = runnable_kernels(all);
  for (const Isa isa : {Isa::avx2, Isa::avx512, Isa::amx})
    if (!has_kernels(isa))
      std::printf("skipped %s: this machine or build lacks it\n", isa_name(isa));
  return {all, all + count};
}

inline int verdict() {
  std::printf("%d checks failed\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace quipu
