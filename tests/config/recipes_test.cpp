// The files of configs/, each a difference from the defaults.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "ibot/config/run_config.h"
#include "ibot/config/yaml.h"

namespace ibot::config {
namespace {

const std::filesystem::path kConfigs = std::filesystem::path(IBOT_SOURCE_DIR) / "configs";

/// Every file but that of the defaults and those of ibot-eval, which has sections of its own.
std::vector<std::filesystem::path> recipes() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kConfigs)) {
    const bool of_evaluation = entry.path().parent_path().filename() == "eval";
    if (entry.path().extension() != ".yaml" || entry.path().filename() == "default.yaml" ||
        of_evaluation) {
      continue;
    }
    files.push_back(entry.path());
  }
  return files;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

/// Values by "section.key", as write_config spells them.
std::map<std::string, std::string> values(const RunConfig& config) {
  std::map<std::string, std::string> values;
  std::istringstream lines(write_config(config, Comments::kNone));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    const auto colon = line.find(':');
    if (line[0] != ' ') {
      section = line.substr(0, colon);
    } else {
      values[section + "." + line.substr(2, colon - 2)] = line.substr(colon + 1);
    }
  }
  return values;
}

/// The keys "section.key" that a file states, in braces or one a line.
std::vector<std::string> stated(const std::string& text) {
  static const std::regex name("([a-z0-9_]+):");
  std::vector<std::string> keys;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    line = line.substr(0, line.find('#'));
    for (std::sregex_iterator match(line.begin(), line.end(), name), end; match != end; ++match) {
      if (match->position() == 0) {
        section = match->str(1);
      } else {
        keys.push_back(section + "." + match->str(1));
      }
    }
  }
  return keys;
}

TEST(Recipes, StateOnlyWhatDiffersFromTheDefaults) {
  const auto defaults = values({});
  const auto files = recipes();
  EXPECT_GT(files.size(), 20u);
  for (const auto& path : files) {
    SCOPED_TRACE(path);
    const auto own = values(read_config<RunConfig>(path));
    const auto keys = stated(text_of(path));
    EXPECT_GT(keys.size(), 0u);
    for (const auto& key : keys) {
      ASSERT_EQ(own.count(key), 1u) << key;
      EXPECT_NE(own.at(key), defaults.at(key)) << key << " is the default";
    }
    for (const auto& [key, value] : own) {
      const bool changed = value != defaults.at(key);
      EXPECT_EQ(changed, std::find(keys.begin(), keys.end(), key) != keys.end()) << key;
    }
  }
}

// vit_b16_in1k.yaml is a run of ViT-B/16, whatever the defaults are.
TEST(Recipes, TrainTheNetworkOfTheirName) {
  const std::map<std::string, std::string> networks{{"vit_s16", "vit_small"},
                                                    {"vit_b16", "vit_base"},
                                                    {"vit_l16", "vit_large"},
                                                    {"swin_t7", "swin_tiny"},
                                                    {"swin_t14", "swin_tiny"}};
  int files = 0;
  for (const auto& path : recipes()) {
    const auto name = std::filesystem::path(path).stem().string();
    const auto found = networks.find(name.substr(0, name.find('_', 5)));
    if (found == networks.end()) continue;
    EXPECT_EQ(read_config<RunConfig>(path).backbone.arch, found->second) << name;
    ++files;
  }
  EXPECT_GE(files, 8);
}

// What a reader wants to know of a published run.
TEST(Recipes, OfPublishedRunsTellCommandsCostResultAndSource) {
  for (const auto& path : recipes()) {
    const auto relative = std::filesystem::relative(path, kConfigs).string();
    if (relative.rfind("pretrain/", 0) != 0) continue;
    SCOPED_TRACE(relative);
    const auto text = text_of(path);
    for (const char* part : {"#   torchrun --nnodes ", "--no-python", "#   srun --nodes ",
                             "\n# Cost", "\n# Published", "\n# Source: "}) {
      EXPECT_NE(text.find(part), std::string::npos) << part;
    }
    EXPECT_NE(text.find("ibot-train configs/" + relative + " data.path="), std::string::npos);
  }
}

/// Ranks that a file's launch line starts.
int64_t announced_ranks(const std::string& text) {
  std::smatch match;
  const std::regex launch("--nnodes ([0-9]+) --nproc_per_node ([0-9]+)");
  return std::regex_search(text, match, launch) ? std::stoll(match[1]) * std::stoll(match[2]) : 0;
}

TEST(Recipes, RanksTimesImagesAreThePublishedBatch) {
  int checked = 0;
  for (const auto& path : recipes()) {
    if (path.string().find("/pretrain/") == std::string::npos) continue;
    SCOPED_TRACE(path);
    const auto text = text_of(path);
    const auto batch = read_config<RunConfig>(path).train.batch_size * announced_ranks(text);
    std::smatch match;
    const std::regex step("([0-9]+)\\s+(# )?per\\s+(# )?step");
    ASSERT_TRUE(std::regex_search(text, match, step));
    EXPECT_EQ(batch, std::stoll(match[1]));
    EXPECT_TRUE(batch == 1024 || batch == 1040 || batch == 2040) << batch;
    ++checked;
  }
  EXPECT_GT(checked, 20);
}

}  // namespace
}  // namespace ibot::config
