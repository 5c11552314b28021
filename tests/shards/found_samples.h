// Shards of other making, as they are found.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "ibot/base/error.h"
#include "ibot/loading/open_dataset.h"
#include "shards/archives.h"
#include "support/temporary_folder.h"

namespace ibot::data {

namespace fs = std::filesystem;
using testing::Members;
using testing::write_tar;
using Names = std::vector<std::string>;

class FoundSamples : public ::testing::Test {
 protected:
  void SetUp() override { ::setenv("XDG_CACHE_HOME", (folder_ / "cache").c_str(), 1); }

  fs::path file(const std::string& name = "x.tar") const { return folder_ / ("shards/" + name); }

  ShardSet found(const Members& members, Labels labels = Labels::kUsed) const {
    write_tar(file(), members);
    return ShardSet(file().string(), labels);
  }

  /// "MEMBER label" a sample.
  Names samples(const Dataset& shards) const {
    Names names;
    for (int64_t i = 0; i < shards.size(); ++i) {
      const auto path = shards.path(i);
      names.push_back(path.substr(file().string().size() + 1) + " " +
                      std::to_string(shards.label(i)));
    }
    return names;
  }

  std::string refusal(const std::string& where) const {
    try {
      open_images(where);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  static std::string notes(const Dataset& dataset) {
    std::string text;
    for (const auto& note : dataset.notes()) text += note + "\n";
    return text;
  }

  const testing::TemporaryFolder folder_;
};

inline void expect_within(const std::string& part, const std::string& text) {
  EXPECT_NE(text.find(part), std::string::npos) << part << "\nnot in\n" << text;
}

}  // namespace ibot::data
