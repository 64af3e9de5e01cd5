// Which format an output is written in.
#include <algorithm>
#include <array>
#include <cctype>

#include "kernels/core/error.h"
#include "libgenossm/output/byte_sink.h"
#include "libgenossm/output/writer.h"

namespace genossm {
namespace {

struct Suffix {
  std::string_view text, type;
};

// The longest that fits counts. Formats that nothing here writes are known too, so that no file
// gets a name that says something else.
constexpr std::array kSuffixes = {
    Suffix{".npz", "npz"},
    Suffix{".npy", "npy"},
    Suffix{".safetensors", "safetensors"},
    Suffix{".tsv", "tsv"},
    Suffix{".csv", "csv"},
    Suffix{".csv.gz", "csv.gz"},
    Suffix{".h5", "h5"},
    Suffix{".hdf5", "h5"},
    Suffix{".h5ad", "h5ad"},
    Suffix{".zarr", "zarr"},
    Suffix{".parquet", "parquet"},
    Suffix{".bedgraph", "bedgraph"},
    Suffix{".bedgraph.gz", "bedgraph.gz"},
    Suffix{".bw", "bw"},
    Suffix{".bigwig", "bw"},
    Suffix{".sam", "sam"},
    Suffix{".bam", "bam"},
    Suffix{".cram", "cram"},
    Suffix{".fa", "fasta"},
    Suffix{".fasta", "fasta"},
    Suffix{".fna", "fasta"},
    Suffix{".fa.gz", "fasta.gz"},
    Suffix{".fasta.gz", "fasta.gz"},
    Suffix{".fna.gz", "fasta.gz"},
    Suffix{".vcf", "vcf"},
    Suffix{".vcf.gz", "vcf.gz"},
    Suffix{".bcf", "bcf"},
    Suffix{".gz", "tsv.gz"},
    Suffix{".bgz", "tsv.gz"},
};

std::string type_of_path(const std::string& path) {
  std::string name = path;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const Suffix* best = nullptr;
  for (const Suffix& suffix : kSuffixes) {
    if (name.ends_with(suffix.text) && (!best || suffix.text.size() > best->text.size())) {
      best = &suffix;
    }
  }
  return best ? std::string(best->type) : "";
}

// Written from front to back: a pipe can take it.
bool is_stream(const std::string& type) {
  return type == "tsv" || type == "tsv.gz" || type == "vcf" || type == "vcf.gz" || type == "bcf" ||
         type == "sam" || type == "fasta" || type == "fasta.gz" || type == "bam";
}

}  // namespace

std::string output_type(const OutputRequest& request, const std::vector<std::string>& allowed,
                        const std::string& fallback) {
  if (request.path.empty()) fail(Fault::usage, "the output has no name: want -o FILE");
  std::string list;
  for (const std::string& type : allowed) list += (list.empty() ? "" : ", ") + type;
  const bool standard = is_standard_output(request.path);
  const std::string by_path = standard ? "" : type_of_path(request.path);
  if (!request.type.empty() && !by_path.empty() && request.type != by_path) {
    fail(Fault::usage, "-O " + request.type + " and the name " + request.path +
                           " do not go together: by its suffix it is " + by_path);
  }
  const std::string type = !request.type.empty() ? request.type
                           : !by_path.empty()    ? by_path
                                                 : fallback;
  if (std::find(allowed.begin(), allowed.end(), type) == allowed.end()) {
    fail(Fault::usage, (request.type.empty() ? request.path : "-O " + request.type) +
                           ": this command does not write " + type + ", but " + list);
  }
  if (standard && !is_stream(type)) {
    fail(Fault::usage, "-o " + request.path + ": " + type +
                           " cannot be written to standard output; want -o FILE, or -O tsv");
  }
  return type;
}

}  // namespace genossm
