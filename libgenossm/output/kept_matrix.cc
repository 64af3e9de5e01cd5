#include "libgenossm/output/kept_matrix.h"

#include <cstring>

#include "kernels/core/dtype.h"
#include "kernels/core/error.h"
#include "libgenossm/output/frames.h"
#include "libgenossm/output/matrix_frames.h"

namespace genossm {
namespace {

// Rows of one chunk at most.
Index standing(Index rows) {
  constexpr Index kMost = 65536;
  require(rows > 0 && rows <= kMost, Fault::input,
          "a part has " + std::to_string(rows) + " rows in one chunk");
  return rows;
}

std::size_t bytes_per(Element element) { return element == Element::f32 ? 4 : 2; }

}  // namespace

KeptMatrix::KeptMatrix(std::unique_ptr<MatrixWriter> file, const MatrixSpec& spec, Journal& journal)
    : file_(std::move(file)), spec_(spec), journal_(journal), encoder_(spec.element) {}

void KeptMatrix::begin_record(const RowLabel& label) {
  encoder_.begin_record(label.name);
  Packer frame;
  frame.number(MatrixFrame::kBegin);
  pack_label(frame, label);
  journal_.add(frame.bytes());
}

// As elements of the file: what it has no room for is found here, and 16 bits take half the space.
void KeptMatrix::rows(View<const float, 2> rows) {
  const Index n = rows.extent[0];
  if (n == 0) return;
  journal_.add(Packer().number(MatrixFrame::kRows).number(n).bytes());
  for (Index i = 0; i < n; ++i) journal_.add(encoder_.encode(rows.row(i), spec_.columns));
}

void KeptMatrix::end_record() { journal_.add(Packer().number(MatrixFrame::kEnd).bytes()); }

void KeptMatrix::finish() {
  if (!file_) return;
  MatrixReplay replay(*file_, spec_);
  journal_.replay([&](std::string_view frames) { replay(frames); });
  file_->finish();
  journal_.remove();
}

void MatrixReplay::operator()(std::string_view frames) {
  Unpacker in(frames);
  const auto columns = static_cast<std::size_t>(spec_.columns);
  while (!in.done()) {
    switch (in.number<char>()) {
      case MatrixFrame::kBegin:
        to_.begin_record(unpack_label(in));
        break;
      case MatrixFrame::kRows: {
        const std::size_t size = columns * bytes_per(spec_.element);
        const std::uint64_t n = in.count<Index>(size);
        if (n > 0) row_.resize(columns);
        for (std::uint64_t i = 0; i < n; ++i) {
          const std::string_view bytes = in.take(size);
          for (std::size_t c = 0; c < columns; ++c) {
            if (spec_.element == Element::f32) {
              std::memcpy(&row_[c], bytes.data() + 4 * c, 4);
              continue;
            }
            std::uint16_t bits = 0;
            std::memcpy(&bits, bytes.data() + 2 * c, 2);
            row_[c] = spec_.element == Element::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
          }
          to_.rows({row_.data(), {1, spec_.columns}});
        }
        break;
      }
      case MatrixFrame::kEnd:
        to_.end_record();
        break;
      case MatrixFrame::kStanding:
        require(chunks_ != nullptr, Fault::input, "rows of a part stand in no chunks of this type");
        chunks_->standing_rows(standing(in.number<Index>()));
        break;
      case MatrixFrame::kChunk: {
        require(chunks_ != nullptr, Fault::input, "a part has chunks, and this type has none");
        StandingChunk chunk;
        chunk.number = in.number<Index>();
        chunk.bytes = in.number<std::uint64_t>();
        chunk.crc = in.number<std::uint32_t>();
        chunks_->standing_chunk(chunk, folder_);
        break;
      }
      default:
        fail(Fault::input, "the journal was written by another version of genossm");
    }
  }
}

Facts facts_of(const MatrixSpec& spec) {
  return {{"spec.kind", "matrix"},
          {"spec.columns", std::to_string(spec.columns)},
          {"spec.element", std::string(name_of(spec.element))},
          {"spec.per_base", spec.per_base ? "1" : "0"},
          {"spec.name", spec.name},
          {"spec.provenance", spec.provenance}};
}

MatrixSpec matrix_spec(const Part& part) {
  MatrixSpec spec;
  constexpr Index kMostColumns = Index{1} << 32;
  spec.columns = part.number("spec.columns");
  require(spec.columns > 0 && spec.columns <= kMostColumns, Fault::input,
          part.path + ": has rows of " + std::to_string(spec.columns) + " columns");
  spec.element = parse_element(part.fact("spec.element"));
  spec.per_base = part.fact("spec.per_base") == "1";
  spec.name = part.fact("spec.name");
  spec.provenance = part.fact("spec.provenance");
  return spec;
}

}  // namespace genossm
