// ibot-eval retrieval and copy on made sets.
#include <fstream>

#include "cli/pretrain_folder.h"
#include "ibot/base/error.h"

namespace ibot::testing {
namespace {

using ::testing::HasSubstr;

class Lookup : public PretrainFolder {
 protected:
  void SetUp() override {
    for (int i = 0; i < 6; ++i) {
      const auto name = concat("20", i, "000.jpg");
      draw("town/jpg/" + name, i % 3);  // of each of three pictures two copies
      draw("days/original/" + name, i);
      draw("days/strong/" + name, i);
    }
    std::ofstream(folder_ / "town" / "gnd_town.pkl")
        << "(dVgnd\n(l(dVeasy\n(lI2\nasVhard\n(lsVjunk\n(lsasVimlist\n("
           "lV201000\naV202000\naV203000\n"
           "aV204000\nasVqimlist\n(lV200000\nas.";
  }

  void draw(const std::string& file, int seed) const {
    std::filesystem::create_directories((folder_ / file).parent_path());
    std::ofstream picture(folder_ / file, std::ios::binary);
    picture << "P6\n24 16\n255\n";
    for (int i = 0; i < 3 * 24 * 16; ++i) {
      picture << static_cast<char>((i * (3 + 5 * seed) + i * i * seed) % 256);
    }
  }

  ProgramResult evaluate(const std::string& task, const std::string& data, Words more) const {
    Words words{task,
                "--weights",
                "random",
                "--data",
                data,
                "--device",
                "cpu",
                "--threads",
                "1",
                "backbone.embed_dim=16",
                "backbone.depth=2",
                "backbone.heads=2",
                "backbone.patch_size=4",
                "backbone.image_size=16",
                "retrieval.dataset=town",
                "copy.image_size=16"};
    words.insert(words.end(), more.begin(), more.end());
    return run("ibot-eval", words);
  }

  Json undated(const std::string& output) const {
    auto report = Json::parse(text(output + "/report.json"));
    report.erase("date");
    return report;
  }
};

TEST_F(Lookup, OneProcessAndSeveralReportTheSame) {
  for (const auto& [task, data, metric] :
       {std::tuple{"retrieval", ".", "map_medium"}, {"copy", "days", "map_strong"}}) {
    const auto alone = evaluate(task, data, {"--output", "alone"});
    ASSERT_EQ(alone.status, 0) << alone.err;
    const auto report = undated("alone");
    EXPECT_NEAR(report["metrics"][metric].get<double>(), 100.0, 1e-9);
    EXPECT_TRUE(report["identity"].contains("data"));
    const auto several = evaluate(task, data, {"--output", "several", "--nproc", "2"});
    ASSERT_EQ(several.status, 0) << several.err;
    EXPECT_EQ(undated("several"), report);
  }
}

TEST_F(Lookup, AnImageThatDoesNotDecodeIsNamed) {
  std::ofstream(folder_ / "days/strong/203000.jpg") << "nothing";
  const auto result = evaluate("copy", "days", {});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.err, HasSubstr("days/strong/203000.jpg"));
}

}  // namespace
}  // namespace ibot::testing
