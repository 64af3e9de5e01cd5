// Where a job's result goes, and matrices of features: one row a record, or one a base.
//
// Every output appears under its final name only when it is complete: it is written under a
// temporary name in the same folder, synced and renamed (see atomic_file.h). Containers hold no
// clock and no host name: the same rows give the same bytes.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/core/view.h"

namespace genossm {

struct OutputRequest {
  std::string path;    // "-": standard output, for text formats only
  std::string type;    // -O: npz, npy, tsv, tsv.gz, safetensors; empty: by the path's suffix
  bool force = false;  // overwrite what is there
  int threads = 1;     // that compress; never changes the bytes
};

// The type that the request means: `type` if given, else by the path's suffix. `allowed`: what the
// caller writes, e.g. {"tsv", "tsv.gz"}; `fallback`: for a path without a known suffix or "-".
// Throws Fault::usage when type and suffix clash, when neither says anything the caller can write,
// and for binary formats on standard output.
std::string output_type(const OutputRequest& request, const std::vector<std::string>& allowed,
                        const std::string& fallback);

enum class Element { f32, f16, bf16 };
Element parse_element(const std::string& text);  // "f32", "f16", "bf16"; Fault::usage
std::string_view name_of(Element element);

// Which sequence a row speaks of.
struct RowLabel {
  std::string name;
  std::string contig;          // of a region, else empty
  Index begin = -1, end = -1;  // 0-based, end exclusive; -1 without a region
  Index length = 0;            // bases or tokens
};

struct MatrixSpec {
  Index columns = 0;
  Element element = Element::f32;
  bool per_base = false;            // a record has as many rows as bases; otherwise exactly one
  std::string provenance;           // one line of JSON; empty: none is written
  std::string name = "embeddings";  // of the matrix, in containers
  // npz: `columns` holds them; none: there is no such member.
  std::vector<std::string> column_names;
};

class MatrixWriter {
 public:
  virtual ~MatrixWriter() = default;
  // begin_record, any number of rows [n, columns], end_record; again and again; finish. All records
  // have regions or none has. Whatever the cut of the rows, the bytes are the same. Throws
  // Fault::input for a finite value that the element type has no room for, Fault::output.
  virtual void begin_record(const RowLabel& label) = 0;
  virtual void rows(View<const float, 2> rows) = 0;
  virtual void end_record() = 0;
  // Completes the file and gives it its name. A writer that is destroyed without it leaves nothing.
  virtual void finish() = 0;
};

// Throws Fault::usage (type), Fault::output (exists already, folder missing or read-only, another
// process is writing it).
std::unique_ptr<MatrixWriter> open_matrix(const OutputRequest& request, const MatrixSpec& spec);

// The type that open_matrix takes the request for.
std::string matrix_type(const OutputRequest& request);

}  // namespace genossm
