// TableWriter: lines of text, plain or bgzip, to a file that appears only when complete, or to
// standard output.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "libgenossm/output/writer.h"

namespace genossm {

class TableWriter {
 public:
  virtual ~TableWriter() = default;
  virtual void line(std::string_view text) = 0;  // without the newline
  virtual void finish() = 0;                     // as MatrixWriter::finish
};

// Types tsv and tsv.gz; a path without a known suffix is tsv. Errors as open_matrix.
std::unique_ptr<TableWriter> open_table(const OutputRequest& request,
                                        const std::vector<std::string>& header_lines);

}  // namespace genossm
