#include <cstring>

#include "kernels/core/dtype.h"
#include "libgenossm/output/elements.h"
#include "libgenossm/output/label_table.h"
#include "libgenossm/output/matrix_writers.h"
#include "libgenossm/output/number_text.h"
#include "libgenossm/output/text_file.h"
#include "libgenossm/output/unicode.h"

namespace genossm {
namespace {

class MatrixTsvWriter : public MatrixWriter {
 public:
  MatrixTsvWriter(const OutputRequest& request, const MatrixSpec& spec, bool compressed)
      : spec_(spec),
        file_(request.path, request.force, compressed, request.threads),
        encoder_(spec.element) {
    if (!spec.provenance.empty()) file_.line("##genossm=" + spec.provenance);
  }

  void begin_record(const RowLabel& label) override {
    if (!headed_) header(has_region(label));
    encoder_.begin_record(label.name);
    start_ = to_field(label.name) + '\t';
    if (spec_.per_base) {
      if (has_region(label)) start_ += to_field(label.contig) + '\t';
      position_ = has_region(label) ? label.begin : 0;
      return;
    }
    if (has_region(label)) {
      start_ += to_field(label.contig) + '\t' + std::to_string(label.begin) + '\t' +
                std::to_string(label.end) + '\t';
    }
    start_ += std::to_string(label.length);
  }

  void rows(View<const float, 2> rows) override {
    for (Index i = 0; i < rows.extent[0]; ++i) {
      line_ = start_;
      if (spec_.per_base) line_ += std::to_string(++position_);
      put_values(encoder_.encode(rows.row(i), spec_.columns));
      file_.line(line_);
    }
  }

  void end_record() override {}

  void finish() override {
    if (!headed_) header(false);
    file_.publish();
  }

 private:
  // The columns are known with the first record.
  void header(bool regions) {
    std::string line = "#name";
    if (spec_.per_base) {
      line += regions ? "\tcontig\tpos" : "\tpos";
    } else {
      line += regions ? "\tcontig\tstart\tend\tlength" : "\tlength";
    }
    for (Index c = 1; c <= spec_.columns; ++c) line += "\tv" + std::to_string(c);
    file_.line(line);
    headed_ = true;
  }

  // Numbers as a file of elements would hold them, so that --dtype means the same in every format.
  void put_values(std::string_view elements) {
    for (Index c = 0; c < spec_.columns; ++c) {
      line_ += '\t';
      if (spec_.element == Element::f32) {
        float value = 0;
        std::memcpy(&value, elements.data() + 4 * c, 4);
        put_number(line_, value);
      } else {
        std::uint16_t bits = 0;
        std::memcpy(&bits, elements.data() + 2 * c, 2);
        put_number(line_, f16_to_f32(bits));
      }
    }
  }

  MatrixSpec spec_;
  TextFile file_;
  ElementEncoder encoder_;
  bool headed_ = false;
  std::string start_;  // of each line of the record
  std::string line_;
  Index position_ = 0;  // of the last base written, 1-based
};

}  // namespace

std::unique_ptr<MatrixWriter> open_matrix_tsv(const OutputRequest& request, const MatrixSpec& spec,
                                              bool compressed) {
  return std::make_unique<MatrixTsvWriter>(request, spec, compressed);
}

}  // namespace genossm
