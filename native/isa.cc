#include "isa.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace quipu {
namespace {

constexpr const char* names[] = {"portable", "avx2", "avx512", "amx"};

#if defined(__x86_64__)

struct Leaf {
  uint32_t a, b, c, d;
};

Leaf leaf(uint32_t number, uint32_t part) {
  Leaf out{0, 0, 0, 0};
  __get_cpuid_count(number, part, &out.a, &out.b, &out.c, &out.d);
  return out;
}

constexpr uint32_t bit(int number) { return uint32_t{1} << number; }

bool all(uint32_t word, uint32_t wanted) { return (word & wanted) == wanted; }

// Register files that the operating system saves; asked by hand: the intrinsic needs -mxsave.
uint64_t saved_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t{high} << 32) | low;
}

constexpr uint64_t state_ymm = 0x6;         // xmm, upper ymm
constexpr uint64_t state_zmm = 0xe6;        // and masks, upper zmm, zmm16..31
constexpr uint64_t state_tiles = 0x60000;   // tile configuration, tile data

bool has_avx2(uint64_t state) {
  const Leaf one = leaf(1, 0), seven = leaf(7, 0);
  const uint32_t fma_avx_f16c = bit(12) | bit(28) | bit(29);
  return (state & state_ymm) == state_ymm && all(one.c, fma_avx_f16c) && all(seven.b, bit(5));
}

bool has_avx512(uint64_t state) {
  const Leaf seven = leaf(7, 0);
  const uint32_t f_dq_bw_vl = bit(16) | bit(17) | bit(30) | bit(31);
  return (state & state_zmm) == state_zmm && all(seven.b, f_dq_bw_vl) && all(seven.c, bit(11));
}

bool tiles_granted() {
#if defined(__linux__)
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  static const bool granted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return granted;
#else
  return false;
#endif
}

bool has_amx(uint64_t state) {
  const uint32_t bf16_tile_int8 = bit(22) | bit(24) | bit(25);
  return (state & state_tiles) == state_tiles && all(leaf(7, 0).d, bf16_tile_int8) &&
         detect_extensions().avx512_bf16 && tiles_granted();
}

#endif

Isa asked_isa() {
#if defined(__x86_64__)
  constexpr int osxsave = 27;
  if (!all(leaf(1, 0).c, bit(osxsave))) return Isa::portable;
  const uint64_t state = saved_state();
  if (!has_avx2(state)) return Isa::portable;
  if (!has_avx512(state)) return Isa::avx2;
  return has_amx(state) ? Isa::amx : Isa::avx512;
#else
  return Isa::portable;
#endif
}

}  // namespace

const char* isa_name(Isa isa) { return names[static_cast<int>(isa)]; }

Isa detect_isa() {
  static const Isa found = asked_isa();  // a virtual machine asks its host: 20 us and more
  return found;
}

Extensions detect_extensions() {
#if defined(__x86_64__)
  const Leaf part = leaf(7, 1);
  return {all(part.a, bit(4)), all(part.a, bit(5))};
#else
  return {false, false};
#endif
}

IsaChoice choose_isa(const char* forced, Isa best) {
  if (forced == nullptr || *forced == '\0') return {best, nullptr};
  for (int number = 0; number < 4; ++number) {
    if (std::strcmp(forced, names[number]) != 0) continue;
    const Isa isa = static_cast<Isa>(number);
    if (isa <= best) return {isa, nullptr};
    return {best, "QUIPU_ISA names an instruction set that this machine lacks"};
  }
  return {best, "QUIPU_ISA must be portable, avx2, avx512 or amx"};
}

}  // namespace quipu
