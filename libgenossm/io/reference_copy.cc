#include "libgenossm/io/reference_copy.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include "kernels/core/error.h"
#include "libgenossm/io/fasta_index.h"

namespace genossm {

namespace fs = std::filesystem;

IndexedReference::IndexedReference(const std::string& path, const std::string& temporary_folder) {
  const IndexedFasta fasta = open_indexed_fasta(path);
  warnings_ = fasta.warnings;
  path_ = fs::absolute(path);
  if (fasta.index_beside && (!fasta.bytes.compressed() || fasta.bytes.has_index())) return;
  std::string pattern = temporary_folder + "/genossm-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    fail(Fault::output, temporary_folder + ": no private folder can be made in it (" +
                            std::generic_category().message(errno) + ")");
  }
  folder_ = pattern;
  std::error_code error;
  fs::create_symlink(path_, folder_ / "reference.fa", error);
  std::ofstream index(folder_ / "reference.fa.fai", std::ios::binary);
  index << fai_text(fasta.contigs);
  index.close();
  std::ofstream map(folder_ / "reference.fa.gzi", std::ios::binary);
  map << fasta.bytes.index_text();
  map.close();
  if (error || !index || !map) {
    fs::remove_all(folder_, error);
    fail(Fault::output, pattern + ": the index of " + path + " cannot be written into it");
  }
  path_ = folder_ / "reference.fa";
}

IndexedReference::~IndexedReference() {
  std::error_code ignored;
  if (!folder_.empty()) fs::remove_all(folder_, ignored);
}

}  // namespace genossm
