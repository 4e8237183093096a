"""test_groups - resource groups, replicas in them, and moving nodes, replicas and segments.

Run by the Python of one pymilvus version against a deployment that serves at
ELANUS_TEST_GRPC, which may have one query node only.  Method: make and change
groups and look at what their description says; refusals with Milvus's codes and
texts; a load names groups.  What needs several nodes is tried where there are.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import milvus_case  # noqa: E402
from milvus_case import ID, VEC, refusal  # noqa: E402
from pymilvus import Collection, utility  # noqa: E402
from pymilvus.client.types import ResourceGroupConfig  # noqa: E402

DEFAULT = "__default_resource_group"


def config(requests, limits, **more):
    return ResourceGroupConfig(requests={"node_num": requests}, limits={"node_num": limits},
                               **more)


class Groups(milvus_case.Case):
    def tearDown(self):
        """The groups of a test go after its collections have gone."""
        self.doCleanups()
        mine = [name for name in utility.list_resource_groups() if name != DEFAULT]
        if mine:
            utility.update_resource_groups({name: config(0, 0) for name in mine})
        for name in mine:
            utility.drop_resource_group(name)
        utility.update_resource_groups({DEFAULT: config(0, 1000000)})
        self.assertEqual(utility.list_resource_groups(), [DEFAULT])

    def nodes(self, group):
        return sorted(n.node_id for n in utility.describe_resource_group(group).nodes)

    def test_a_group_is_made_described_and_dropped(self):
        self.assertEqual(utility.list_resource_groups(), [DEFAULT])
        utility.create_resource_group("rg_one")
        utility.create_resource_group("rg_one")             # the same: it is there
        self.assertEqual(sorted(utility.list_resource_groups()), [DEFAULT, "rg_one"])
        told = utility.describe_resource_group("rg_one")
        self.assertEqual((told.name, told.capacity, told.num_available_node), ("rg_one", 0, 0))
        self.assertEqual(dict(told.num_loaded_replica), {})
        utility.drop_resource_group("rg_one")
        self.assertEqual(utility.list_resource_groups(), [DEFAULT])
        utility.drop_resource_group("rg_one")               # what is not there is dropped

    def test_nodes_go_where_they_are_requested(self):
        everyone = self.nodes(DEFAULT)
        self.assertTrue(everyone)
        utility.create_resource_group("rg_taker", config=config(1, 1))
        taken = self.nodes("rg_taker")
        self.assertEqual(len(taken), 1)
        self.assertEqual(sorted(taken + self.nodes(DEFAULT)), everyone)
        utility.update_resource_groups({"rg_taker": config(0, 0)})
        self.assertEqual(self.nodes("rg_taker"), [])
        self.assertEqual(self.nodes(DEFAULT), everyone)
        utility.transfer_node(DEFAULT, "rg_taker", 1)
        told = utility.describe_resource_group("rg_taker")
        self.assertEqual((told.capacity, told.num_available_node), (1, 1))
        utility.transfer_node("rg_taker", DEFAULT, 1)
        self.assertEqual(self.nodes(DEFAULT), everyone)

    def test_refusals_in_milvus_words(self):
        utility.create_resource_group("rg_wrong", config=config(0, 1))
        cases = [
            (301, "resource group already exist, but create with different config[rg=rg_wrong]",
             utility.create_resource_group, "rg_wrong", config(1, 1)),
            (1100, "the first character of a resource group name must be an underscore or letter",
             utility.create_resource_group, "1st"),
            (300, "resource group not found[rg=rg_none]",
             utility.describe_resource_group, "rg_none"),
            (300, "resource group not found[rg=rg_none]",
             utility.transfer_node, "rg_none", "rg_wrong", 1),
            (304, "resource group node not enough[rg=__default_resource_group]",
             utility.transfer_node, DEFAULT, "rg_wrong", 1000),
            (1100, "source resource group and target resource group should not be the same",
             utility.transfer_node, DEFAULT, DEFAULT, 1),
            (1100, "[expected=NumNode > 0][actual=invalid NumNode 0]",
             utility.transfer_node, DEFAULT, "rg_wrong", 0),
            (1100, "default resource group is not deletable",
             utility.drop_resource_group, DEFAULT),
            (1100, "resource group's limits node num is not 0",
             utility.drop_resource_group, "rg_wrong"),
            (303, "limits node num should not less than requests node num",
             utility.update_resource_groups, {"rg_wrong": config(2, 1)}),
            (303, "resource group in `TransferFrom` rg_none not exist",
             utility.update_resource_groups,
             {"rg_wrong": config(0, 1, transfer_from=[{"resource_group": "rg_none"}])}),
        ]
        for code, text, call, *args in cases:
            with self.subTest(text):
                if call is utility.create_resource_group and len(args) == 2:
                    got = refusal(call, args[0], config=args[1])
                else:
                    got = refusal(call, *args)
                self.assertEqual(got[0], code, got)
                self.assertIn(text, got[1])

    def test_a_load_goes_where_it_says(self):
        name = self.make("group_load", [ID, VEC], load=False)
        self.client.insert(name, [{"id": i, "vec": [i, 0, 0, 0]} for i in range(10)])
        coll = Collection(name)
        utility.create_resource_group("rg_home", config=config(1, 1))
        code, text = refusal(coll.load, replica_number=1, _resource_groups=["rg_none"], timeout=20)
        self.assertEqual((code, "resource group not found[rg=rg_none]" in text), (300, True), text)
        code, text = refusal(coll.load, replica_number=2, _resource_groups=["rg_home"], timeout=20)
        self.assertEqual((code, "[currentNodeNum=1][expectedNodeNum=2]" in text), (304, True), text)
        code, text = refusal(coll.load, replica_number=3, timeout=20,
                             _resource_groups=["rg_home", DEFAULT])
        self.assertIn("resource group num can only be 0, 1 or same as replica number", text)
        coll.load(replica_number=1, _resource_groups=["rg_home"], timeout=20)
        self.assertEqual(self.count(name), 10)
        told = utility.describe_resource_group("rg_home")
        self.assertEqual(dict(told.num_loaded_replica), {name: 1})
        group, = coll.get_replicas().groups
        self.assertEqual((group.resource_group, list(group.group_nodes)),
                         ("rg_home", self.nodes("rg_home")))
        code, text = refusal(utility.drop_resource_group, "rg_home")
        self.assertIn("some replicas still loaded in resource group[rg_home]", text)
        code, text = refusal(utility.transfer_replica, "rg_home", DEFAULT, name, 2)
        self.assertIn("only found [1] replicas", text)
        if self.nodes(DEFAULT):
            utility.transfer_replica("rg_home", DEFAULT, name, 1)
            group, = coll.get_replicas().groups
            self.assertEqual(group.resource_group, DEFAULT)
            self.assertEqual(self.count(name), 10)

    def test_load_balance_knows_nodes_and_segments(self):
        name = self.make("group_balance", [ID, VEC])
        self.client.insert(name, [{"id": i, "vec": [i, 0, 0, 0]} for i in range(10)])
        self.client.flush(name)
        here = list(Collection(name).get_replicas().groups[0].group_nodes)[0]
        cases = [(901, "node not found[node=999999]", 999999, [], []),
                 (901, "destination node not found in the same replica", here, [999999], []),
                 (600, "segment not found[segment=12345]", here, [], [12345])]
        for code, text, *args in cases:
            got = refusal(utility.load_balance, name, *args)
            self.assertEqual((got[0], text in got[1]), (code, True), got)


if __name__ == "__main__":
    unittest.main(verbosity=2)
