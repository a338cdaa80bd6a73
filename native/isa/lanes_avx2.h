// Eight fp32 lanes of AVX2, with the operations that vector_*.h are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "exp2.h"

namespace quipu {
namespace {

struct Lanes {
  using F = __m256;
  using I = __m256i;
  static constexpr int width = 8;

  static F set(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  static F load_some(const float* p, int count) {
    if (count == width) return load(p);
    float buffer[width] = {};
    std::memcpy(buffer, p, static_cast<unsigned>(count) * sizeof(float));
    return load(buffer);
  }
  static void store_some(float* p, F x, int count) {
    if (count == width) return store(p, x);
    float buffer[width];
    store(buffer, x);
    std::memcpy(p, buffer, static_cast<unsigned>(count) * sizeof(float));
  }
  static F load_bf16(const uint16_t* p) {
    const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
  }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }    // a b + c
  static F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a b
  static F max(F a, F b) { return _mm256_max_ps(a, b); }  // b where either is NaN
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F abs(F a) { return _mm256_andnot_ps(set(-0.0f), a); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F times_power_of_two(F a, F n) {  // n whole, -126..127
    const __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return mul(a, _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23)));
  }
  // 2^x for x of at most 127, within 2e-7, 1 at 0; 0 where the result is not a normal number.
  static F power_of_two(F x) {
    const F normal = _mm256_cmp_ps(x, set(-126), _CMP_NLT_UQ);
    x = max(set(-126), x);
    const F n = _mm256_floor_ps(x), r = sub(x, n);
    F p = set(two_to_r[0]);
    for (int i = 1; i < 6; ++i) p = fma(p, r, set(two_to_r[i]));
    return _mm256_and_ps(normal, times_power_of_two(p, n));
  }
  // The first `count` lanes, and `other` in the rest.
  static F keep_first(F a, int count, F other) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
    return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(kept));
  }
  static float sum(F a) {
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
  }
  static float largest(F a) {
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
  }
  static I nearest(F x) { return _mm256_cvtps_epi32(x); }  // ties to even
  static I add(I a, I b) { return _mm256_add_epi32(a, b); }
  static int32_t sum(I a) {
    __m128i x = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    x = _mm_add_epi32(x, _mm_shuffle_epi32(x, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32(x, 0xb1)));
  }
  // The largest lane of a[i] in lane i of every four.
  static F largest(const F (&a)[4]) {
    const F ab = max(_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
    const F cd = max(_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
    const F all = max(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    return max(all, _mm256_permute2f128_ps(all, all, 1));
  }
  static void store_int8(int8_t* p, I x) {  // in -128..127
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  // Of products in fixed point: pairs of 16-bit integers.
  static I load(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store(int32_t* p, I x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static F to_float(I x) { return _mm256_cvtepi32_ps(x); }
  static void store_int16(int16_t* p, I x) {  // in -32768..32767
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), words);
  }
  static I pairs(I first, I second) {  // both in -32768..32767
    return _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa);
  }
  // sum += dot products of the pair at `word` with each of b's pairs, for two registers. Assembly:
  // compilers move loads far ahead, and sums out of their registers.
  static void add_pairs(I& sum0, I& sum1, const int32_t* word, I b0, I b1) {
#if defined(QUIPU_AVX_VNNI)
    I pair;
    __asm__("vpbroadcastd %3, %2\n\t%{vex%} vpdpwssd %4, %2, %0\n\t%{vex%} vpdpwssd %5, %2, %1"
            : "+x"(sum0), "+x"(sum1), "=&x"(pair)
            : "m"(*word), "x"(b0), "x"(b1));
#else
    I pair, other;
    __asm__("vpbroadcastd %4, %2\n\tvpmaddwd %6, %2, %3\n\tvpmaddwd %5, %2, %2\n\t"
            "vpaddd %3, %1, %1\n\tvpaddd %2, %0, %0"
            : "+x"(sum0), "+x"(sum1), "=&x"(pair), "=&x"(other)
            : "m"(*word), "x"(b0), "x"(b1));
#endif
  }
  // Index of the first lane that equals x, or width.
  static int first_equal(F a, float x) {
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps(a, set(x), _CMP_EQ_OQ));
    return mask == 0 ? width : __builtin_ctz(static_cast<unsigned>(mask));
  }
};

}  // namespace
}  // namespace quipu
