// Every file of the fuzz targets' corpora, read once more with the compiler of the build.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "fuzz/targets.h"

namespace ibot::fuzz {
namespace {

void replay(const std::string& name, void (*target)(std::string_view)) {
  int files = 0;
  const auto folder = std::filesystem::path(IBOT_SOURCE_DIR) / "tests/fuzz/corpus" / name;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    SCOPED_TRACE(entry.path().string());
    std::ostringstream bytes;
    bytes << std::ifstream(entry.path(), std::ios::binary).rdbuf();
    EXPECT_NO_THROW(target(bytes.str()));
    ++files;
  }
  EXPECT_GT(files, 0);
}

TEST(FuzzCorpus, Safetensors) { replay("safetensors", read_safetensors); }
TEST(FuzzCorpus, Pickle) { replay("pickle", read_pickle); }
TEST(FuzzCorpus, Config) { replay("config", read_config); }
TEST(FuzzCorpus, Tar) { replay("tar", read_tar); }
TEST(FuzzCorpus, Image) { replay("image", read_image); }

}  // namespace
}  // namespace ibot::fuzz
