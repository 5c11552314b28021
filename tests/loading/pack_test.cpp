#include "ibot/loading/pack.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "ibot/loading/inspect.h"
#include "ibot/loading/sampler.h"
#include "shards/packed_pictures.h"
#include "support/python.h"

namespace ibot::data {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using testing::FolderOfPictures;
using testing::PackedPictures;

/// Every file of a folder by name.
std::map<std::string, testing::Bytes> files_in(const fs::path& folder) {
  std::map<std::string, testing::Bytes> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = testing::read_bytes(entry.path());
  }
  return files;
}

std::string refusal(const ImageFolder& source, const fs::path& out, const PackOptions& options) {
  try {
    pack(source, out, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Pack, ShardsHoldTheFoldersBytes) {
  const PackedPictures packed(40);
  const auto shards = packed.open();
  EXPECT_EQ(shards.class_names(), packed.folder().class_names());
  EXPECT_GT(shards.shards(), 3);
  EXPECT_EQ(content_of(shards), content_of(packed.folder()));
  for (int i = 0; i < shards.shards(); ++i) {
    EXPECT_LE(fs::file_size(packed.shard(i)), PackedPictures::options().shard_bytes);
  }
  EXPECT_EQ(files_in(packed.path()).size(), shards.shards() + 1U);  // and the index
}

TEST(Pack, NamesTellTheOriginalPath) {
  const PackedPictures packed(9);
  const auto shards = packed.open();
  std::set<std::string> names;
  for (int64_t i = 0; i < shards.size(); ++i) {
    const auto path = shards.path(i);
    const auto name = path.substr(path.find(':') + 1);
    EXPECT_EQ(
        testing::read_bytes(fs::path(packed.folder().path(0)).parent_path().parent_path() / name),
        shards.read(i));
    names.insert(name);
  }
  EXPECT_EQ(names.size(), 9U);
}

TEST(Pack, SamplesAreShuffledByTheSeed) {
  const FolderOfPictures pictures(30);
  const testing::TemporaryFolder folder;
  auto options = PackedPictures::options();
  pack(pictures.dataset(), folder / "a", options);
  options.workers = 5;
  pack(pictures.dataset(), folder / "b", options);
  options.seed = 1;
  pack(pictures.dataset(), folder / "c", options);
  EXPECT_EQ(files_in(folder / "a"), files_in(folder / "b"));
  EXPECT_NE(files_in(folder / "a"), files_in(folder / "c"));
  const ShardSet shards((folder / "a").string());
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < shards.size(); ++i) labels.push_back(shards.label(i));
  EXPECT_FALSE(std::is_sorted(labels.begin(), labels.end()));
}

TEST(Pack, KeysEndAtTheFirstDotAndAreUnique) {
  const testing::TemporaryFolder folder;
  for (const std::string name : {"a.JPEG", "a.jpg", "a.png", "a.png.jpg", "b/50%.x.jpg"}) {
    testing::write_bytes(folder / "set/class" / name, testing::Bytes(name.begin(), name.end()));
  }
  pack(ImageFolder(folder / "set"), folder / "out", {});
  const ShardSet shards((folder / "out").string());
  std::map<std::string, std::string> found;
  for (int64_t i = 0; i < shards.size(); ++i) {
    const auto bytes = shards.read(i);
    const auto path = shards.path(i);
    found[path.substr(path.find(':') + 1)] = std::string(bytes.begin(), bytes.end());
  }
  EXPECT_EQ(found, (std::map<std::string, std::string>{{"class/a.jpg", "a.JPEG"},
                                                       {"class/a%2Ejpg.jpg", "a.jpg"},
                                                       {"class/a%2Epng.png", "a.png"},
                                                       {"class/a%2Epng%2Ejpg.jpg", "a.png.jpg"},
                                                       {"class/b/50%25%2Ex.jpg", "b/50%.x.jpg"}}));
}

TEST(Pack, AnInterruptedCallIsTakenUp) {
  const FolderOfPictures pictures(40);
  const testing::TemporaryFolder folder;
  const auto options = PackedPictures::options();
  pack(pictures.dataset(), folder / "whole", options);

  const fs::path lost = pictures.dataset().path(epoch_order(40, options.seed, 0, {0, 1}).back());
  fs::rename(lost, folder / "lost");
  EXPECT_NE(refusal(pictures.dataset(), folder / "out", options).find(lost.string()),
            std::string::npos);
  for (const auto& [name, bytes] : files_in(folder / "out")) {
    EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
  }
  try {
    const ShardSet shards((folder / "out").string());
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("packing was interrupted"), std::string::npos);
  }

  fs::rename(folder / "lost", lost);
  auto other = options;
  other.seed = 3;
  EXPECT_NE(refusal(pictures.dataset(), folder / "out", other).find("interrupted packing of other"),
            std::string::npos);
  const auto summary = pack(pictures.dataset(), folder / "out", options);
  EXPECT_GT(summary.resumed_images, 0);
  EXPECT_EQ(summary.images, 40);
  EXPECT_EQ(files_in(folder / "out"), files_in(folder / "whole"));
}

// Taken away its name would make another plan, for which no shard is of use.
TEST(Pack, AnEmptyFileStandsInForAnUnreadableOne) {
  const FolderOfPictures pictures(40);
  const testing::TemporaryFolder folder;
  const auto options = PackedPictures::options();
  const fs::path lost = pictures.dataset().path(epoch_order(40, options.seed, 0, {0, 1}).back());
  fs::remove(lost);
  fs::create_symlink("nowhere", lost);
  EXPECT_NE(refusal(pictures.dataset(), folder / "out", options).find("put an empty file in its"),
            std::string::npos);
  fs::remove(lost);
  testing::write_bytes(lost, {});
  const ImageFolder mended(lost.parent_path().parent_path());
  const auto summary = pack(mended, folder / "out", options);
  EXPECT_GT(summary.resumed_images, 0);
  EXPECT_EQ(summary.images, 40);
  const auto damaged = verify(ShardSet((folder / "out").string()), 2).damaged;
  ASSERT_EQ(damaged.size(), 1U);
  EXPECT_NE(damaged[0].path.find(lost.stem().string()), std::string::npos);
}

TEST(Pack, AHalfWrittenPlanIsNoContent) {
  const FolderOfPictures pictures(9);
  const testing::TemporaryFolder folder;
  testing::write_bytes(folder / "out/pack.json.tmp", {'{'});
  EXPECT_EQ(pack(pictures.dataset(), folder / "out", PackedPictures::options()).images, 9);
  EXPECT_FALSE(fs::exists(folder / "out/pack.json.tmp"));
}

TEST(Pack, RefusesAFolderWithSomethingInIt) {
  const PackedPictures packed(9);
  EXPECT_NE(refusal(packed.folder(), packed.path(), {}).find("expected an empty folder"),
            std::string::npos);
  EXPECT_NE(refusal(packed.folder(), packed.path() / "index.safetensors", {}), "");
}

TEST(Pack, PythonReadsTheShards) {
  if (!testing::python_has("tarfile")) GTEST_SKIP() << "no Python";
  const PackedPictures packed(20);
  const auto shards = packed.open();
  std::string expected;
  for (int64_t i = 0; i < shards.size(); ++i) {
    const auto path = shards.path(i);
    const auto name = path.substr(path.find(':') + 1);
    expected += name + " " + std::to_string(shards.read(i).size()) + "\n";
    expected += name.substr(0, name.find('.')) + ".cls " + std::to_string(shards.label(i)) + "\n";
  }
  EXPECT_EQ(testing::python_output(
                "import glob, tarfile\n"
                "for f in sorted(glob.glob('" +
                packed.path().string() +
                "/*.tar')):\n"
                "  for m in (t := tarfile.open(f)):\n"
                "    data = t.extractfile(m).read()\n"
                "    print(m.name, int(data) if m.name.endswith('.cls') else len(data))\n"),
            expected);
}

TEST(Pack, WebDatasetReadsTheShards) {
  if (!testing::python_has("webdataset")) GTEST_SKIP() << "no webdataset";
  const PackedPictures packed(20);
  const auto shards = packed.open();
  std::string expected;
  for (int64_t i = 0; i < shards.size(); ++i) {
    const auto path = shards.path(i);
    const auto name = path.substr(path.find(':') + 1);
    expected += name.substr(0, name.find('.')) + " " + std::to_string(shards.read(i).size()) + " " +
                std::to_string(shards.label(i)) + "\n";
  }
  EXPECT_EQ(testing::python_output("import glob, webdataset\n"
                                   "shards = sorted(glob.glob('" +
                                   packed.path().string() +
                                   "/*.tar'))\n"
                                   "for s in webdataset.WebDataset(shards, shardshuffle=False):\n"
                                   "  print(s['__key__'], len(s['jpg']), int(s['cls']))\n"),
            expected);
}

}  // namespace
}  // namespace ibot::data
