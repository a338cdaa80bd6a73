// Tile registers of AMX as the kernels use them: palette 1, eight tiles of 16 rows of 64 bytes.
//
// Two versions: the instructions, and with QUIPU_SOFTWARE_TILES an emulation after Intel's manual
// (volume 2, LDTILECFG, TILELOADD, TDPBSSD, TDPBF16PS), so that machines without them test the code
// above. The emulation stops the program where the processor would refuse an instruction.
#pragma once

#include <cstdint>

#if defined(QUIPU_SOFTWARE_TILES)
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#endif

namespace quipu {
namespace {

// What LDTILECFG reads; tiles without rows cannot be used.
struct TileShapes {
  uint8_t palette = 1, start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileShapes) == 64);

#if !defined(QUIPU_SOFTWARE_TILES)

// Assembly, because the compilers' own forms differ in whether a template may name the tile. None
// of it may move across reads and writes of memory.
void configure_tiles(const TileShapes& shapes) { __asm__ volatile("ldtilecfg %0" ::"m"(shapes)); }

void release_tiles() { __asm__ volatile("tilerelease"); }

template <int To>
void zero_tile() {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(To));
}

template <int To>
void load_tile(const void* from, int64_t stride) {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(To) : "memory");
}

template <int From>
void store_tile(void* to, int64_t stride) {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(stride), "i"(From) : "memory");
}

// Sums += A B of signed bytes, four to a word, exact but for overflow of 32 bits.
template <int Sums, int A, int B>
void add_signed_bytes() {
  __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}

// Sums += A B of pairs of bf16: even and odd products are summed apart in fp32, then added.
template <int Sums, int A, int B>
void add_bf16_pairs() {
  __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sums), "i"(A), "i"(B));
}

#else

struct TileState {
  TileShapes shapes{0};
  uint8_t data[8][16][64];
};
thread_local TileState tiles;

void demand(bool allowed, const char* what) {
  if (allowed) return;
  std::fprintf(stderr, "tiles: %s\n", what);
  std::abort();
}

void configure_tiles(const TileShapes& shapes) {
  demand(shapes.palette == 1 && shapes.start_row == 0, "the palette must be 1, the first row 0");
  for (const uint8_t byte : shapes.reserved) demand(byte == 0, "reserved bytes must be 0");
  for (int i = 0; i < 16; ++i) {
    demand(shapes.rows[i] <= (i < 8 ? 16 : 0) && shapes.row_bytes[i] <= (i < 8 ? 64 : 0),
           "eight tiles of at most 16 rows of 64 bytes");
    demand((shapes.rows[i] == 0) == (shapes.row_bytes[i] == 0), "a tile has rows and columns");
  }
  tiles.shapes = shapes;
  std::memset(tiles.data, 0, sizeof tiles.data);
}

void release_tiles() { tiles.shapes = TileShapes{0}; }

int tile_rows_of(int tile) {
  demand(tiles.shapes.palette == 1 && tiles.shapes.rows[tile] > 0, "a tile was not configured");
  return tiles.shapes.rows[tile];
}

int tile_bytes_of(int tile) { return tiles.shapes.row_bytes[tile]; }

template <int To>
void zero_tile() {
  tile_rows_of(To);
  std::memset(tiles.data[To], 0, sizeof tiles.data[To]);
}

template <int To>
void load_tile(const void* from, int64_t stride) {
  zero_tile<To>();
  for (int row = 0; row < tile_rows_of(To); ++row)
    std::memcpy(tiles.data[To][row], static_cast<const char*>(from) + row * stride,
                static_cast<unsigned>(tile_bytes_of(To)));
}

template <int From>
void store_tile(void* to, int64_t stride) {
  for (int row = 0; row < tile_rows_of(From); ++row)
    std::memcpy(static_cast<char*>(to) + row * stride, tiles.data[From][row],
                static_cast<unsigned>(tile_bytes_of(From)));
}

template <int Sums, int A, int B>
void demand_shapes() {
  static_assert(Sums != A && Sums != B && A != B, "the processor wants three different tiles");
  demand(tile_rows_of(Sums) == tile_rows_of(A) && tile_bytes_of(Sums) == tile_bytes_of(B) &&
             tile_bytes_of(A) == 4 * tile_rows_of(B) && tile_bytes_of(A) % 4 == 0 &&
             tile_bytes_of(B) % 4 == 0,
         "shapes of a product do not fit");
}

template <int Sums, int A, int B>
void add_signed_bytes() {
  demand_shapes<Sums, A, B>();
  for (int m = 0; m < tile_rows_of(Sums); ++m) {
    for (int n = 0; n < tile_bytes_of(Sums) / 4; ++n) {
      uint32_t sum;
      std::memcpy(&sum, &tiles.data[Sums][m][4 * n], 4);
      for (int k = 0; k < tile_bytes_of(A) / 4; ++k)
        for (int i = 0; i < 4; ++i)
          sum += static_cast<uint32_t>(static_cast<int8_t>(tiles.data[A][m][4 * k + i]) *
                                       static_cast<int8_t>(tiles.data[B][k][4 * n + i]));
      std::memcpy(&tiles.data[Sums][m][4 * n], &sum, 4);
    }
  }
}

// Subnormal numbers count as zero, before and after.
float flushed(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

float bf16_in(const uint8_t* bytes) {
  uint8_t wide[4] = {0, 0, bytes[0], bytes[1]};
  float out;
  std::memcpy(&out, wide, 4);
  return flushed(out);
}

template <int Sums, int A, int B>
void add_bf16_pairs() {
  demand_shapes<Sums, A, B>();
  for (int m = 0; m < tile_rows_of(Sums); ++m) {
    for (int n = 0; n < tile_bytes_of(Sums) / 4; ++n) {
      float parts[2] = {0, 0}, sum;
      for (int k = 0; k < tile_bytes_of(A) / 4; ++k)
        for (int i = 0; i < 2; ++i)
          parts[i] = flushed(std::fma(bf16_in(&tiles.data[A][m][4 * k + 2 * i]),
                                      bf16_in(&tiles.data[B][k][4 * n + 2 * i]), parts[i]));
      std::memcpy(&sum, &tiles.data[Sums][m][4 * n], 4);
      sum = flushed(flushed(sum) + flushed(parts[0] + parts[1]));
      std::memcpy(&tiles.data[Sums][m][4 * n], &sum, 4);
    }
  }
}

#endif

}  // namespace
}  // namespace quipu
