// The writers behind open_matrix, one a format. They trust their caller: records are whole, rows
// have spec.columns values, regions are given for all records or none, f16 and f32 are the elements
// of all but safetensors.
#pragma once

#include <memory>

#include "libgenossm/output/writer.h"

namespace genossm {

// PATH with a member a .npy array: embeddings [rows, columns], names, lengths; with regions
// contigs, starts, ends (0-based, end exclusive); per base offsets [records + 1] into the rows;
// provenance.
std::unique_ptr<MatrixWriter> open_npz(const OutputRequest& request, const MatrixSpec& spec);

// PATH, a .npy array [rows, columns] that can be mapped into memory, and names_path(PATH): a table
// with one line a record.
std::unique_ptr<MatrixWriter> open_npy(const OutputRequest& request, const MatrixSpec& spec);
std::string names_path(const std::string& npy_path);  // x.npy: x.names.tsv

// PATH with the tensors embeddings [rows, columns] and lengths; names (and contigs): UTF-8, one a
// line; starts, ends; per base offsets. Provenance is in the metadata.
std::unique_ptr<MatrixWriter> open_safetensors_matrix(const OutputRequest& request,
                                                      const MatrixSpec& spec);

// A line a row: name, (contig, start, end), length, values; per base: name, 1-based position,
// values.
std::unique_ptr<MatrixWriter> open_matrix_tsv(const OutputRequest& request, const MatrixSpec& spec,
                                              bool compressed);

// PATH with datasets embeddings [rows, columns], names, lengths; with regions contigs, starts,
// ends; per base offsets. `anndata`: X, obs (names and places), var, as AnnData has them; per base
// a row has the name NAME:POSITION.
std::unique_ptr<MatrixWriter> open_hdf5(const OutputRequest& request, const MatrixSpec& spec,
                                        bool anndata);

// PATH, a folder: a Zarr v2 group of the same arrays, a file a block of rows.
std::unique_ptr<MatrixWriter> open_zarr(const OutputRequest& request, const MatrixSpec& spec);

}  // namespace genossm
