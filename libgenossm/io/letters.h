// Which bytes may stand in a sequence.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace genossm::letters {

// What a byte is, as bits; 0 is A, C, G, T or U in upper case.
inline constexpr std::uint8_t kLower = 1;
inline constexpr std::uint8_t kAmbiguous = 2;  // N, the IUPAC codes, gaps and unknowns
inline constexpr std::uint8_t kGap = 4;        // '-', '.' and '*': kept, but worth a warning
inline constexpr std::uint8_t kBlank = 8;      // space and tab
inline constexpr std::uint8_t kWrong = 16;     // printable, and no nucleotide code
inline constexpr std::uint8_t kControl = 32;   // NUL, control characters, DEL

extern const std::array<std::uint8_t, 256> kKind;

inline std::uint8_t kind(char c) { return kKind[static_cast<unsigned char>(c)]; }

// The kinds of all the bytes together: one look tells whether anything needs a closer one.
std::uint8_t kinds(std::string_view text);

// The offset of the first byte that has one of the bits of `wanted`.
std::size_t find_kind(std::string_view text, std::uint8_t wanted);

// The byte as a message may name it: 'E', "NUL", "byte 0x1b".
std::string shown_byte(char c);

}  // namespace genossm::letters
