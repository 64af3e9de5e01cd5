// The frames of a matrix in journals and parts.
#pragma once

namespace genossm {

struct MatrixFrame {
  static constexpr char kBegin = 'B';     // a record: its label
  static constexpr char kRows = 'R';      // n, then n rows as elements
  static constexpr char kEnd = 'E';       // of the record
  static constexpr char kStanding = 'S';  // n rows that stand in a chunk
  static constexpr char kChunk = 'C';     // the chunk: number, bytes, checksum
};

}  // namespace genossm
