// Sixteen fp32 lanes of AVX-512, with the operations that vector_*.h are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "exp2.h"

namespace quipu {
namespace {

struct Lanes {
  using F = __m512;
  using I = __m512i;
  static constexpr int width = 16;

  static __mmask16 first_lanes(int count) { return static_cast<__mmask16>((1u << count) - 1); }
  static F set(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  static F load_some(const float* p, int count) {
    return _mm512_maskz_loadu_ps(first_lanes(count), p);
  }
  static void store_some(float* p, F x, int count) {
    _mm512_mask_storeu_ps(p, first_lanes(count), x);
  }
  static F load_bf16(const uint16_t* p) {
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(words), 16));
  }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }    // a b + c
  static F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
  static F max(F a, F b) { return _mm512_max_ps(a, b); }  // b where either is NaN
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F abs(F a) { return _mm512_abs_ps(a); }
  static F round(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static F times_power_of_two(F a, F n) { return _mm512_scalef_ps(a, n); }
  // 2^x for x of at most 127, within 2e-7, 1 at 0.
  static F power_of_two(F x) {
    const F r = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    F p = set(two_to_r[0]);
    for (int i = 1; i < 6; ++i) p = fma(p, r, set(two_to_r[i]));
    return _mm512_scalef_ps(p, x);
  }
  // The first `count` lanes, and `other` in the rest.
  static F keep_first(F a, int count, F other) {
    return _mm512_mask_blend_ps(first_lanes(count < 0 ? 0 : count < 16 ? count : 16), other, a);
  }
  static float sum(F a) { return _mm512_reduce_add_ps(a); }
  static float largest(F a) { return _mm512_reduce_max_ps(a); }
  static I nearest(F x) { return _mm512_cvtps_epi32(x); }  // ties to even
  static I add(I a, I b) { return _mm512_add_epi32(a, b); }
  static int32_t sum(I a) { return _mm512_reduce_add_epi32(a); }
  // The largest lane of a[i] in lane i of every four.
  static F largest(const F (&a)[4]) {
    const F ab = max(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const F cd = max(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    F all = max(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
    all = max(all, _mm512_shuffle_f32x4(all, all, 0x4e));
    return max(all, _mm512_shuffle_f32x4(all, all, 0xb1));
  }
  static void store_int8(int8_t* p, I x) {  // in -128..127
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(x));
  }
  // Of products in fixed point: pairs of 16-bit integers.
  static I load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, I x) { _mm512_storeu_si512(p, x); }
  static F to_float(I x) { return _mm512_cvtepi32_ps(x); }
  static void store_int16(int16_t* p, I x) {  // in -32768..32767
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
  }
  static I pairs(I first, I second) {  // both in -32768..32767
    return _mm512_mask_blend_epi16(0xaaaaaaaa, first, _mm512_slli_epi32(second, 16));
  }
  // sum += dot products of the pair at `word` with each of b's pairs, for two registers.
  static void add_pairs(I& sum0, I& sum1, const int32_t* word, I b0, I b1) {
    const I pair = _mm512_set1_epi32(*word);
    sum0 = _mm512_dpwssd_epi32(sum0, pair, b0);
    sum1 = _mm512_dpwssd_epi32(sum1, pair, b1);
  }
  // Index of the first lane that equals x, or width.
  static int first_equal(F a, float x) {
    const __mmask16 mask = _mm512_cmp_ps_mask(a, set(x), _CMP_EQ_OQ);
    return mask == 0 ? width : __builtin_ctz(mask);
  }
};

}  // namespace
}  // namespace quipu
