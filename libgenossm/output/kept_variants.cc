#include "libgenossm/output/kept_variants.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "kernels/core/error.h"
#include "libgenossm/output/frames.h"

namespace genossm {
namespace {

FieldValues unpack_values(Unpacker& in) {
  FieldValues values;
  values.reals.resize(in.count<std::uint32_t>(sizeof(float)));
  for (float& v : values.reals) v = in.number<float>();
  values.integers.resize(in.count<std::uint32_t>(sizeof(std::int32_t)));
  for (std::int32_t& v : values.integers) v = in.number<std::int32_t>();
  values.texts.resize(in.count<std::uint32_t>(sizeof(std::uint64_t)));
  for (std::string& v : values.texts) v = in.text();
  return values;
}

constexpr std::array<const char*, 3> kTypes{"real", "integer", "text"};

}  // namespace

std::string kept_values(std::span<const FieldValues> values) {
  Packer out;
  for (const FieldValues& one : values) {
    out.number(static_cast<std::uint32_t>(one.reals.size()));
    for (const float v : one.reals) out.number(v);
    out.number(static_cast<std::uint32_t>(one.integers.size()));
    for (const std::int32_t v : one.integers) out.number(v);
    out.number(static_cast<std::uint32_t>(one.texts.size()));
    for (const std::string& v : one.texts) out.text(v);
  }
  return out.bytes();
}

std::string kept_vectors(std::span<const std::vector<float>> alleles) {
  Packer out;
  out.number(static_cast<std::uint32_t>(alleles.size()));
  for (const std::vector<float>& row : alleles) {
    for (const float v : row) out.number(v);
  }
  return out.bytes();
}

RowLabel allele_label(const VariantRecord& record, std::size_t allele) {
  RowLabel label;
  label.name = record.place() + ":" + record.ref + ":" + record.alts.at(allele);
  label.length = static_cast<Index>(record.ref.size());
  return label;
}

VariantReplay::VariantReplay(const std::string& input, VariantWriter& to, std::size_t fields)
    : input_(input), reader_(VariantReader::open(input)), variants_(&to), values_(fields) {}

VariantReplay::VariantReplay(const std::string& input, MatrixWriter& to, Index columns)
    : input_(input),
      reader_(VariantReader::open(input)),
      features_(&to),
      row_(static_cast<std::size_t>(columns)) {}

bool VariantReplay::next() {
  record_ = VariantRecord();
  return reader_->next(record_);
}

void VariantReplay::operator()(std::string_view frames) {
  for (Unpacker in(frames); !in.done();) {
    require(next(), Fault::input, input_ + ": has changed since it was scored");
    if (variants_ != nullptr) {
      for (FieldValues& one : values_) one = unpack_values(in);
      variants_->write(record_, values_);
      continue;
    }
    const auto alleles = in.number<std::uint32_t>();
    require(alleles <= record_.alts.size(), Fault::input,
            input_ + ": " + record_.place() + " has fewer alleles than were scored");
    for (std::uint32_t a = 0; a < alleles; ++a) {
      for (float& v : row_) v = in.number<float>();
      features_->begin_record(allele_label(record_, a));
      features_->rows({row_.data(), {1, static_cast<Index>(row_.size())}});
      features_->end_record();
    }
  }
}

void VariantReplay::end() {
  require(!next(), Fault::input, input_ + ": has changed since it was scored");
}

Facts facts_of(const VariantOutput& output, const std::string& input) {
  std::vector<std::string> fields, contigs;
  for (const VariantField& field : output.fields) {
    fields.insert(fields.end(),
                  {field.id, kTypes[static_cast<std::size_t>(field.type)], field.description});
  }
  for (const auto& [name, length] : output.contigs) {
    contigs.push_back(name);
    contigs.push_back(std::to_string(length));
  }
  return {{"spec.kind", "variants"},       {"spec.input", input},
          {"spec.index", output.index},    {"spec.provenance", output.provenance},
          {"spec.fields", listed(fields)}, {"spec.contigs", listed(contigs)}};
}

VariantOutput variant_output(const Part& part) {
  VariantOutput output;
  output.index = part.fact("spec.index");
  output.provenance = part.fact("spec.provenance");
  const std::vector<std::string> fields = items_of(part.fact("spec.fields"));
  for (std::size_t i = 0; i + 2 < fields.size(); i += 3) {
    VariantField field{fields[i], VariantField::Type::real, fields[i + 2]};
    const auto type = std::find(kTypes.begin(), kTypes.end(), fields[i + 1]);
    require(type != kTypes.end(), Fault::input,
            part.path +
                ": a field of a kind that this version "
                "does not know");
    field.type = static_cast<VariantField::Type>(type - kTypes.begin());
    output.fields.push_back(std::move(field));
  }
  const std::vector<std::string> contigs = items_of(part.fact("spec.contigs"));
  for (std::size_t i = 0; i + 1 < contigs.size(); i += 2) {
    Index length = 0;
    const std::string& text = contigs[i + 1];
    std::from_chars(text.data(), text.data() + text.size(), length);
    output.contigs.emplace_back(contigs[i], length);
  }
  return output;
}

}  // namespace genossm
