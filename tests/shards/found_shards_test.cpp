// What shards of other making hold: which member is the image, where its label is, what is left.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "ibot/base/error.h"
#include "ibot/data/class_match.h"
#include "ibot/loading/inspect.h"
#include "ibot/loading/open_dataset.h"
#include "shards/archives.h"
#include "shards/found_samples.h"
#include "shards/packed_pictures.h"
#include "support/python.h"

namespace ibot::data {
namespace {

TEST_F(FoundSamples, TheImageIsTheMemberWhoseEndingIsOneWord) {
  for (const std::string other : {"depth.png", "seg.png", "mask.jpg", "0.left.tif"}) {
    for (const bool first : {true, false}) {
      Members members{{"a.cls", "1"}, {"a.jpg", "one"}, {"b.cls", "0"}, {"b.JPG", "two"}};
      members.insert(members.begin() + (first ? 1 : 2), {"a." + other, "depth"});
      members.insert(members.begin() + (first ? 4 : 5), {"b." + other, "depth"});
      const auto shards = found(members);
      EXPECT_EQ(samples(shards), (Names{"a.jpg 1", "b.JPG 0"}));
      EXPECT_EQ(notes(shards), "left out 2 images of samples that have another: " + other + " 2\n");
    }
  }
}

// A depth map is no image because the image beside it is missing.
TEST_F(FoundSamples, ASampleThatLacksItsImageIsNone) {
  const auto shards = found({{"b.depth.png", "3"}, {"a.jpg", "1"}, {"a.depth.png", "2"}});
  EXPECT_EQ(samples(shards), Names{"a.jpg 0"});
  expect_within("left out 1 members that belong to no image: depth.png 1", notes(shards));
}

TEST_F(FoundSamples, OfSeveralImagesOneIsTakenAndTheRestCounted) {
  const auto shards = found({{"a.png", "mask"}, {"a.jpg", "one"}, {"b.webp", "x"}, {"b.png", "y"}});
  EXPECT_EQ(samples(shards), (Names{"a.jpg 0", "b.png 0"}));
  expect_within("png 1, webp 1", notes(shards));
}

TEST_F(FoundSamples, ImagesWithSeveralDotsAloneAreSamplesAndSaidToBe) {
  const auto stereo = found({{"a.left.jpg", "1"}, {"a.right.jpg", "2"}, {"a.cls", "3"}});
  EXPECT_EQ(samples(stereo), (Names{"a.left.jpg 3", "a.right.jpg 3"}));
  expect_within(
      "read 2 images with several dots in their names, each as a sample: left.jpg 1, "
      "right.jpg 1",
      notes(stereo));
  const auto dotted =
      found({{"n.1.jpg", "1"}, {"n.1.cls", "4"}, {"n.2.jpg", "2"}, {"n.2.cls", "5"}});
  EXPECT_EQ(samples(dotted), (Names{"n.1.jpg 4", "n.2.jpg 5"}));
}

// As in an image folder that was packed by tar.
TEST_F(FoundSamples, SomeNamesMayHoldDots) {
  const auto shards = found({{"c/IMG_1.jpg", "1"},
                             {"c/IMG_2.edit.jpg", "2"},
                             {"c/IMG_2.final.jpg", "3"},
                             {"d/4.jpg", "4"},
                             {"d/5.0.png", "5"}});
  EXPECT_EQ(samples(shards), (Names{"c/IMG_1.jpg 0", "c/IMG_2.edit.jpg 0", "c/IMG_2.final.jpg 0",
                                    "d/4.jpg 0", "d/5.0.png 0"}));
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(shards.read(i), testing::Bytes{uint8_t('1' + i)});
  expect_within("read 3 images with several dots", notes(shards));
}

TEST_F(FoundSamples, DotsInFoldersAreNone) {
  const auto shards =
      found({{"v1.2/a.b/x.jpg", "1"}, {"v1.2/a.b/x.cls", "1"}, {"./y.jpg", "2"}, {"./y.cls", "0"}});
  EXPECT_EQ(samples(shards), (Names{"v1.2/a.b/x.jpg 1", "./y.jpg 0"}));
}

TEST_F(FoundSamples, ARepeatedKeyIsAnotherSample) {
  const auto shards = found({{"a.jpg", "1"},
                             {"a.cls", "1"},
                             {"a.jpg", "2"},
                             {"a.cls", "2"},
                             {"b.jpg", "3"},
                             {"b.cls", "0"},
                             {"a.jpg", "4"},
                             {"a.cls", "3"}});
  EXPECT_EQ(samples(shards), (Names{"a.jpg 1", "a.jpg 2", "b.jpg 0", "a.jpg 3"}));
  expect_within("2 keys occur again", notes(shards));
  EXPECT_EQ(shards.read(3), testing::Bytes{'4'});
}

TEST_F(FoundSamples, HiddenMembersArePassedOver) {
  const auto shards = found({{"./._a.jpg", "junk"},
                             {"./a.jpg", "1"},
                             {"./._a.cls", "junk"},
                             {"./a.cls", "1"},
                             {"__MACOSX/a.jpg", "junk"},
                             {"x/@eaDir/b.jpg", "junk"},
                             {".hidden/c.jpg", "junk"},
                             {"./.DS_Store", "junk"}});
  EXPECT_EQ(samples(shards), Names{"./a.jpg 1"});
  EXPECT_EQ(notes(shards),
            "passed over 6 hidden names or ones that systems leave, the first one ./.DS_Store\n");
}

TEST_F(FoundSamples, WhatBelongsToNoImageIsCounted) {
  const auto shards = found({{"README", "x"},
                             {"a.jpg", "1"},
                             {"a.txt", "a dog"},
                             {"b.tar", "inner"},
                             {"c.txt", "y"},
                             {"d.cls", "1"}});
  EXPECT_EQ(shards.size(), 1);
  EXPECT_EQ(notes(shards),
            "left out 4 members that belong to no image: cls 1, no ending 1, tar 1, txt 1\n");
  write_tar(file("tars.tar"), {{"0.tar", "inner"}, {"1.tar", "inner"}});
  const auto none = refusal(file("tars.tar").string());
  expect_within("expected images in the shards, found none", none);
  expect_within("tar 2", none);
}

TEST_F(FoundSamples, AnEmptyArchiveIsSaid) {
  write_tar(file("a.tar"), {});
  write_tar(file("b.tar"), {{"x.jpg", "1"}});
  const ShardSet shards(file("*.tar").string());
  EXPECT_EQ(shards.size(), 1);
  EXPECT_EQ(notes(shards), "1 of 2 archives hold no image\n");
}

TEST_F(FoundSamples, CompressedArchivesAreRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> kinds{{"a.tar.gz", "\x1f\x8b\x08"},
                                                               {"a.tgz", "\x1f\x8b\x08"},
                                                               {"a.tar.zst", "\x28\xb5\x2f\xfd"},
                                                               {"a.tar.bz2", "BZh9"},
                                                               {"a.tar.xz",
                                                                "\xfd"
                                                                "7zXZ"},
                                                               {"a.tar", "\x1f\x8b\x08"}};
  const std::vector<std::string> names{"gzip", "gzip", "zstd", "bzip2", "xz", "gzip"};
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto path = file(kinds[i].first);
    auto bytes = kinds[i].second + std::string(2000, '\x55');
    testing::write_bytes(path, {bytes.begin(), bytes.end()});
    for (const auto& where : {path.string(), path.parent_path().string()}) {
      const auto reason = refusal(where);
      expect_within(path.string() + ": expected an uncompressed tar archive", reason);
      expect_within("compressed with " + names[i], reason);
      expect_within(" < FILE > NEW.tar", reason);
    }
    fs::remove(path);
  }
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  testing::write_bytes(file(), {pointer.begin(), pointer.end()});
  expect_within("Git LFS pointer", refusal(file().string()));
  // Not by the first letters of a member.
  write_tar(file(), {{"BZh.jpg", "1"}});
  EXPECT_EQ(ShardSet(file().string()).size(), 1);
}

TEST_F(FoundSamples, AFolderOfShardsMayHoldOtherFiles) {
  write_tar(file("0.tar"), {{"x.jpg", "1"}});
  write_tar(file("1.TAR"), {{"y.jpg", "1"}});
  for (const char* name : {"._0.tar", "0.parquet", "stray.jpg", ".ipynb_checkpoints/0.tar"}) {
    testing::write_bytes(file(name), {1});
  }
  const auto shards = open_images(file().parent_path().string());
  EXPECT_EQ(shards->size(), 2);
  EXPECT_EQ(notes(*shards), "left out 1 images beside the archives: .jpg 1\n");
}

TEST_F(FoundSamples, FoldersAndFilesWithBracketsAreTakenAsTheyAre) {
  const Members members{{"a.jpg", "1"}};
  write_tar(file("run[1]{x}/s-0.tar"), members);
  write_tar(file("run[1]{x}/s[0].tar"), members);
  EXPECT_EQ(open_images(file("run[1]{x}").string())->size(), 2);
  EXPECT_EQ(open_images(file("run[1]{x}/s[0].tar").string())->size(), 1);
  EXPECT_EQ(open_images(file("run[1]{x}/s-*.tar").string())->size(), 1);
  testing::write_bytes(folder_ / "set[0-9]*/a/1.jpg", {1});
  EXPECT_EQ(open_images((folder_ / "set[0-9]*").string())->size(), 1);
}

TEST_F(FoundSamples, LinksAreCounted) {
  if (!testing::python_has("tarfile")) GTEST_SKIP() << "no Python";
  fs::create_directories(file().parent_path());
  testing::python_output("import io, tarfile\nt = tarfile.open('" + file().string() +
                         "', 'w')\n"
                         "def add(name, kind, data=b''):\n"
                         "  m = tarfile.TarInfo(name)\n"
                         "  m.type, m.size, m.linkname = kind, len(data), 'a.jpg'\n"
                         "  t.addfile(m, io.BytesIO(data))\n"
                         "add('d', tarfile.DIRTYPE)\n"
                         "add('a.jpg', tarfile.REGTYPE, b'1')\n"
                         "add('b.jpg', tarfile.LNKTYPE)\n"
                         "add('c.jpg', tarfile.SYMTYPE)\n"
                         "t.close()\n");
  const ShardSet shards(file().string());
  EXPECT_EQ(shards.size(), 1);
  EXPECT_EQ(notes(shards), "left out 2 links, devices or sparse files\n");
}

TEST_F(FoundSamples, NotesAndLabelsAreKeptWithTheIndex) {
  write_tar(file(), {{"._a.jpg", ""}, {"a.jpg", "1"}, {"a.cls", "dog"}, {"b.jpg", "2"}});
  fs::last_write_time(file(), fs::file_time_type::clock::now() - std::chrono::hours(1));
  const auto index = file().parent_path() / ".x.tar.ibot-index";
  const ShardSet fresh(file().string());
  ASSERT_TRUE(fs::exists(index));
  const ShardSet kept(file().string());
  EXPECT_EQ(kept.notes(), fresh.notes());
  EXPECT_EQ(kept.notes().size(), 2U);
  EXPECT_EQ(samples(kept), samples(fresh));
  EXPECT_EQ(kept.class_names(), Names{"dog"});
  EXPECT_THROW(kept.read(1), DataError);
  EXPECT_NO_THROW(ShardSet(file().string(), Labels::kIgnored).read(1));
}

TEST(FoundShardsOfPack, ArchivesThatTheIndexDoesNotListAreSaid) {
  const testing::PackedPictures packed(20);
  EXPECT_TRUE(packed.open().notes().empty());
  fs::copy_file(packed.shard(0), packed.path() / "more.tar");
  const auto notes = packed.open().notes();
  ASSERT_EQ(notes.size(), 1U);
  expect_within("left out 1 archives that index.safetensors does not list", notes[0]);
}

// Of what pack wrote, the index and a search tell the same.
TEST(FoundShardsOfPack, TheSearchAgreesWithTheIndex) {
  const testing::TemporaryFolder root;
  ::setenv("XDG_CACHE_HOME", (root / "cache").c_str(), 1);
  for (const char* name : {"a.1/x.y.jpg", "a.1/x.png", "a.1/x.jpg", "b/__z__.jpg", "b/%.tiff",
                           "b/._x.jpg", ".c/x.jpg", "b/sub.dir/x.JPEG"}) {
    testing::write_bytes(root / ("labeled/" + std::string(name)), {1, 2, 3});
    testing::write_bytes(root / ("flat/" + fs::path(name).filename().string()), {1, 2, 3});
  }
  for (const std::string set : {"labeled", "flat"}) {
    const auto out = root / ("out-" + set);
    const ImageFolder source(root / set);
    pack(source, out, {.workers = 1});
    const ShardSet indexed(out.string());
    fs::remove(out / kIndexFile);
    const ShardSet searched(out.string());
    ASSERT_EQ(searched.size(), source.size());
    EXPECT_EQ(has_classes(searched), set == "labeled");
    EXPECT_EQ(has_classes(indexed), set == "labeled");
    for (int64_t i = 0; i < indexed.size(); ++i) {
      EXPECT_EQ(searched.path(i), indexed.path(i));
      EXPECT_EQ(searched.label(i), indexed.label(i));
      EXPECT_EQ(searched.read(i), indexed.read(i));
    }
    EXPECT_TRUE(searched.notes().empty());
  }
}

/// Members drawn from few keys and endings, no ending twice in a run of one key.
Members drawn_members(unsigned seed) {
  std::mt19937 random(seed);
  const auto pick = [&](const Names& words) { return words[random() % words.size()]; };
  Members members;
  std::string before;
  Names run;
  for (int i = 0; i < 60; ++i) {
    const auto key = random() % 2 == 0 && !before.empty()
                         ? before
                         : pick({"", "d/", "v1.0/", "./"}) + pick({"a", "b", "c 1", "k-2"});
    if (key != before) run.clear();
    before = key;
    const auto ending = pick({"jpg", "PNG", "cls", "json", "depth.png", "txt", "webp"});
    auto lower = ending == "PNG" ? "png" : ending;
    if (std::find(run.begin(), run.end(), lower) != run.end()) continue;
    run.push_back(lower);
    members.emplace_back(key + "." + ending, ending == "cls" ? "7" : std::string(i + 1, 'x'));
  }
  members.emplace_back("noending", "x");
  // Somewhere a depth map lies beside an image, which tells what it is.
  members.emplace_back("last.jpg", "x");
  members.emplace_back("last.depth.png", "xx");
  return members;
}

TEST_F(FoundSamples, WebDatasetGroupsTheSame) {
  if (!testing::python_has("webdataset")) GTEST_SKIP() << "no webdataset";
  std::string ours;
  for (unsigned seed = 0; seed < 40; ++seed) {
    const auto shards = found(drawn_members(seed), Labels::kIgnored);
    for (int64_t i = 0; i < shards.size(); ++i) {
      const auto name = shards.path(i).substr(file().string().size() + 1);
      ours += name.substr(0, name.find('.', name.rfind('/') + 1)) + " " +
              std::to_string(shards.read(i).size()) + "\n";
    }
    fs::rename(file(), file(std::to_string(100 + seed) + ".tar"));
  }
  EXPECT_EQ(ours,
            testing::python_output("import glob, webdataset\n"
                                   "for f in sorted(glob.glob('" +
                                   file("*.tar").string() +
                                   "')):\n"
                                   "  for s in webdataset.WebDataset([f], shardshuffle=False):\n"
                                   "    for e in ('jpg', 'png', 'webp'):\n"
                                   "      if e in s:\n"
                                   "        print(s['__key__'], len(s[e]))\n"
                                   "        break\n"));
}

}  // namespace
}  // namespace ibot::data
