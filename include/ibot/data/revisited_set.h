// Revisited Oxford and Paris: images with the images that show the same.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "ibot/data/file_list.h"

namespace ibot::data {

/// What is known of one query: places in the database.
///
///   box   left, top, right, bottom in pixels: the part of the query's image that is meant; zeros
///         where the ground truth has none
struct QueryTruth {
  std::vector<int64_t> easy;
  std::vector<int64_t> hard;
  std::vector<int64_t> junk;
  std::array<double, 4> box{};
};

struct RevisitedSet {
  FileList queries;
  FileList database;
  std::vector<QueryTruth> truth;  // of each query
  std::string truth_hash;         // of the ground truth's file
};

/// Reads ROOT/NAME/gnd_NAME.pkl, or ROOT/gnd_NAME.pkl, and finds the images that it names in the
/// folder jpg beside it. `name` is roxford5k, rparis6k, or that of any set in their layout.
///
/// Throws DataError where the ground truth is missing or damaged, where it names images that are
/// not there, and where it counts images beyond its list: it is then that of another set.
/// Source: Radenovic et al. 2018; evaluation/eval_image_retrieval.py of the reference.
RevisitedSet open_revisited(const std::filesystem::path& root, const std::string& name);

}  // namespace ibot::data
