// The readers behind VariantReader::open, one a format.
#pragma once

#include <optional>
#include <string_view>

#include "libgenossm/io/hts.h"
#include "libgenossm/io/text_input.h"
#include "libgenossm/io/variants.h"

namespace genossm {

std::unique_ptr<VariantReader> read_vcf(TextInput input);
std::unique_ptr<VariantReader> read_variant_table(TextInput input);
std::unique_ptr<VariantReader> read_bcf(HFileHandle file, const std::string& label);

// A biobank's line holds a genotype of every one of its samples.
inline constexpr std::size_t kLongestVariantLine = std::size_t{1} << 30;

// The fields of a line between tabs; the views hold as long as the line does.
std::vector<std::string_view> split_tabs(std::string_view line);
// POS as VCF has it: digits, from 0 on. Nothing if it is not that.
std::optional<Index> parse_pos(std::string_view text);
// ALT as a list; none for ".".
std::vector<std::string> split_alts(std::string_view text);
// Fails unless the whole text has been read to its end.
void require_whole(const TextInput& input);

}  // namespace genossm
