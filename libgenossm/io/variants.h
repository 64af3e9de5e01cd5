// VariantReader: variants from VCF, BCF or a table, plain, gzip or bgzip, from a file or standard
// input ("-"), told apart by content.
//
// A VCF record is given as the line that it was, so that it can be written again with every other
// field untouched; htslib parses it too, and what htslib refuses is refused. A table has a line of
// column names, among them chrom (contig, chr), pos (1-based), ref and alt, and perhaps sequences:
// the window that the variant stands in.
//
// Errors: Fault::missing when the file is not there or unreadable; Fault::input, with the line,
// when it is malformed, cut (a last line without an end, a compressed file without its closing
// block) or neither of the three.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/core/view.h"

struct bcf1_t;
struct bcf_hdr_t;

namespace genossm {

struct FreeBcf {
  void operator()(bcf1_t* record) const;
  void operator()(bcf_hdr_t* header) const;
};
using BcfHandle = std::unique_ptr<bcf1_t, FreeBcf>;

struct VariantRecord {
  std::string contig;
  Index at = 0;  // 0-based; -1 for POS 0, the place before a contig
  std::string ref;
  std::vector<std::string> alts;  // none for ALT "."
  std::string window;             // column sequences of a table, else empty
  std::string line;               // of VCF and tables, without its end
  BcfHandle bcf;                  // of BCF
  std::int64_t number = 0;        // line of the file, or record of a BCF, from 1

  // contig:pos as messages name it.
  std::string place() const;
};

enum class VariantFormat { vcf, bcf, table };

struct VariantHeader {
  VariantFormat format = VariantFormat::vcf;
  // VCF and BCF: all header lines, the last is that of the columns. Table: lines that begin with
  // ##, then the column names.
  std::vector<std::string> lines;
  std::shared_ptr<bcf_hdr_t> hts;  // none of a table
};

class VariantReader {
 public:
  static std::unique_ptr<VariantReader> open(const std::string& path);
  virtual ~VariantReader() = default;
  VariantReader(const VariantReader&) = delete;
  VariantReader& operator=(const VariantReader&) = delete;

  // The next record, or nothing at the end of a file that was whole.
  virtual bool next(VariantRecord& record) = 0;
  const VariantHeader& header() const { return header_; }
  const std::map<std::string, std::int64_t>& warnings() const { return warnings_; }

 protected:
  VariantReader() = default;
  VariantHeader header_;
  std::map<std::string, std::int64_t> warnings_;
};

}  // namespace genossm
