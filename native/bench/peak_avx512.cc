// Loops of nothing but dot-product instructions: what the processor can do at best.
#include <immintrin.h>

#include "peak.h"

namespace quipu {
namespace {

constexpr int chains = 24;  // enough to hide the latency of two units

}  // namespace

int64_t peak_int8(int64_t rounds) {
  __m512i sum[chains], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(-2);
#pragma GCC unroll 24
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_epi32(i);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 24
    for (int i = 0; i < chains; ++i)
      __asm__("vpdpbusd %2, %1, %0" : "+v"(sum[i]) : "v"(a), "v"(b));
#pragma GCC unroll 24
  for (int i = 1; i < chains; ++i) sum[0] = _mm512_xor_si512(sum[0], sum[i]);
  peak_sink = _mm512_reduce_add_epi32(sum[0]);
  return rounds * chains * 128;
}

int64_t peak_bf16(int64_t rounds) {
  __m512 sum[chains];
  const __m512bh a = (__m512bh)_mm512_set1_epi16(0x3f80), b = (__m512bh)_mm512_set1_epi16(0x3c80);
#pragma GCC unroll 24
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 24
    for (int i = 0; i < chains; ++i) sum[i] = _mm512_dpbf16_ps(sum[i], a, b);
#pragma GCC unroll 24
  for (int i = 1; i < chains; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  peak_sink = static_cast<int>(_mm512_reduce_add_ps(sum[0]));
  return rounds * chains * 64;
}

int64_t peak_fp32(int64_t rounds) {
  __m512 sum[chains];
  const __m512 a = _mm512_set1_ps(1.0f), b = _mm512_set1_ps(0.5f);
#pragma GCC unroll 24
  for (int i = 0; i < chains; ++i) sum[i] = _mm512_set1_ps(static_cast<float>(i));
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 24
    for (int i = 0; i < chains; ++i) sum[i] = _mm512_fmadd_ps(sum[i], a, b);
#pragma GCC unroll 24
  for (int i = 1; i < chains; ++i) sum[0] = _mm512_add_ps(sum[0], sum[i]);
  peak_sink = static_cast<int>(_mm512_reduce_add_ps(sum[0]));
  return rounds * chains * 32;
}

}  // namespace quipu
