// Owning handles for htslib, which is included nowhere but in this folder and in output/. Files are
// opened here and handed to htslib as descriptors, so that it never takes a name for an address.
#pragma once

#include <htslib/bgzf.h>
#include <htslib/cram.h>
#include <htslib/hfile.h>
#include <htslib/hts.h>
#include <htslib/sam.h>

#include <cstdlib>
#include <memory>
#include <string>

namespace genossm {

struct CloseHFile {
  void operator()(hFILE* file) const { hclose_abruptly(file); }
};
struct CloseBgzf {
  void operator()(BGZF* file) const { static_cast<void>(bgzf_close(file)); }
};
struct CloseHtsFile {
  void operator()(htsFile* file) const { static_cast<void>(hts_close(file)); }
};
struct FreeHeader {
  void operator()(sam_hdr_t* header) const { sam_hdr_destroy(header); }
};
struct FreeAlignment {
  void operator()(bam1_t* alignment) const { bam_destroy1(alignment); }
};
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};

using HFileHandle = std::unique_ptr<hFILE, CloseHFile>;
using BgzfHandle = std::unique_ptr<BGZF, CloseBgzf>;
using HtsFileHandle = std::unique_ptr<htsFile, CloseHtsFile>;
using HeaderHandle = std::unique_ptr<sam_hdr_t, FreeHeader>;
using AlignmentHandle = std::unique_ptr<bam1_t, FreeAlignment>;
using CText = std::unique_ptr<char, FreeMemory>;

// For reading; "-" is standard input. Waits for the writer of a pipe. Nothing is said on stderr by
// htslib from here on. Throws Error{Fault::missing}.
HFileHandle open_input(const std::string& path);

// The path as messages name it.
std::string shown_path(const std::string& path);

// Points htslib's look-up of CRAM references at a place that holds nothing. The readers here never
// let it get that far; this is for main(), once, before threads start, so that no other use of
// htslib can reach a network either.
void forbid_reference_downloads();

}  // namespace genossm
