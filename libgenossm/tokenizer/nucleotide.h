// Letters of nucleic acids: what a letter is, and its complement. Both cases everywhere.
#pragma once

namespace genossm {

constexpr char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
constexpr bool is_letter(char c) { return to_upper(c) >= 'A' && to_upper(c) <= 'Z'; }

// N and the ten letters that stand for two or three bases (NC-IUB 1984).
bool is_ambiguity_code(char c);

// Case kept; U gives A; what is no nucleotide code is given back as it is.
char complement(char c);

}  // namespace genossm
