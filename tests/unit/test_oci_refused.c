/* SPDX-License-Identifier: Apache-2.0 */
/* Documents that must be refused, with the sentence that says why; and the tables behind both. */
#include "oci/config.h"
#include "oci/shape.h"
#include "oci_documents.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECCOMP(members) OCI_LINUX("'seccomp':{'defaultAction':'SCMP_ACT_ALLOW'," members "}")
#define SYSCALL(members) SECCOMP("'syscalls':[{'names':['read']," members "}]")
#define RESOURCES(members) OCI_LINUX("'resources':{" members "}")
#define RLIMIT(members) OCI_PROCESS("'cwd':'/','args':['sh'],'rlimits':[" members "]")

static const struct refusal {
    const char *document;
    const char *sentence;
} refusals[] = {
    /* the document */
    {"", "config.json: line 1, column 0: '[' or '{' expected near end of file"},
    {"[]", "config.json: must be an object"},
    {"{'a':1,'a':2}", "config.json: line 1, column 10: duplicate object key near '\"a\"'"},
    {"{}", "config.json: ociVersion: is missing"},
    {"{'ociVersion':7}", "config.json: ociVersion: must be a string"},
    {"{'ociVersion':'2.0.0'}", "config.json: ociVersion: \"2.0.0\" is not a supported version (1.x)"},
    {"{'ociVersion':'1.0.0'}", "config.json: process: is missing"},
    {"{'ociVersion':'1.0.0','process':{'cwd':'/','args':['a']}}", "config.json: root: is missing"},
    {OCI_SPEC(",'root2':18446744073709551616"),
        "config.json: line 1, column 111: too big integer near '18446744073709551616'"},

    /* process */
    {OCI_SPEC(",'hostname':'" /* 65 bytes */
              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"),
        "config.json: hostname: is longer than 64 bytes"},
    {OCI_PROCESS("'args':['sh']"), "config.json: process.cwd: is missing"},
    {OCI_PROCESS("'args':['sh'],'cwd':''"), "config.json: process.cwd: is empty"},
    {OCI_PROCESS("'args':['sh'],'cwd':'tmp'"), "config.json: process.cwd: \"tmp\" is not an absolute path"},
    {OCI_PROCESS("'cwd':'/'"), "config.json: process.args: is missing"},
    {OCI_PROCESS("'cwd':'/','args':[]"), "config.json: process.args: must have at least one element"},
    {OCI_PROCESS("'cwd':'/','args':['']"), "config.json: process.args: the program's name is empty"},
    {OCI_PROCESS("'cwd':'/','args':'sh'"), "config.json: process.args: must be an array"},
    {OCI_PROCESS("'cwd':'/','args':['sh',1]"), "config.json: process.args[1]: must be a string"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'terminal':1"),
        "config.json: process.terminal: must be true or false"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'env':['A=b','=b']"),
        "config.json: process.env[1]: \"=b\" is not NAME=VALUE"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'user':{'uid':-1}"),
        "config.json: process.user.uid: -1 is not between 0 and 4294967295"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'user':{'umask':512}"),
        "config.json: process.user.umask: 512 is not between 0 and 511"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'user':{'uid':1.0}"),
        "config.json: process.user.uid: must be a whole number"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'user':{'uid':18446744073709551615}"),
        "config.json: process.user.uid: 18446744073709551615 is more than 4294967295"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'oomScoreAdj':1001"),
        "config.json: process.oomScoreAdj: 1001 is not between -1000 and 1000"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'capabilities':{'ambient':['chown']}"),
        "config.json: process.capabilities.ambient[0]: \"chown\" is not a capability"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'scheduler':{'policy':'SCHED_FIFO'}"),
        "config.json: process.scheduler: scheduling policies are not supported"},
    {OCI_PROCESS("'cwd':'/','args':['sh'],'ioPriority':{'class':'IOPRIO_CLASS_BE','priority':8}"),
        "config.json: process.ioPriority.priority: 8 is not between 0 and 7"},
    {RLIMIT("{'type':'RLIMIT_FOO','hard':1,'soft':1}"),
        "config.json: process.rlimits[0].type: \"RLIMIT_FOO\" is not a resource limit"},
    {RLIMIT("{'type':'RLIMIT_AS','hard':1}"), "config.json: process.rlimits[0].soft: is missing"},
    {RLIMIT("{'type':'RLIMIT_AS','hard':1,'soft':-1}"),
        "config.json: process.rlimits[0].soft: -1 is not between 0 and 18446744073709551615"},
    {RLIMIT("{'type':'RLIMIT_AS','hard':1,'soft':2}"),
        "config.json: process.rlimits[0]: the soft limit is above the hard limit"},
    {RLIMIT("{'type':'RLIMIT_AS','hard':1,'soft':1},{'type':'RLIMIT_AS','hard':1,'soft':1}"),
        "config.json: process.rlimits[1].type: \"RLIMIT_AS\" is limited twice"},

    /* mounts, hooks, annotations */
    {OCI_SPEC(",'mounts':[{}]"), "config.json: mounts[0].destination: is missing"},
    {OCI_SPEC(",'mounts':[{'destination':'/a'},{'destination':'/b','options':['ridmap']}]"),
        "config.json: mounts[1].options: \"ridmap\" is not supported"},
    {OCI_SPEC(",'mounts':[{'destination':'/a','uidMappings':[{}]}]"),
        "config.json: mounts[0].uidMappings: id-mapped mounts are not supported"},
    {OCI_SPEC(",'hooks':{'poststop':[{'path':'hook'}]}"),
        "config.json: hooks.poststop[0].path: \"hook\" is not an absolute path"},
    {OCI_SPEC(",'hooks':{'poststop':[{'path':'/hook','timeout':0}]}"),
        "config.json: hooks.poststop[0].timeout: 0 is not between 1 and 2147483647"},
    {OCI_SPEC(",'annotations':{'a.b':1}"), "config.json: annotations[\"a.b\"]: must be a string"},
    {OCI_SPEC(",'annotations':{'':'x'}"), "config.json: annotations: has an empty key"},
    {OCI_SPEC(",'annotations':[]"), "config.json: annotations: must be an object"},

    /* linux */
    {OCI_LINUX("'namespaces':[{'type':'net'}]"),
        "config.json: linux.namespaces[0].type: \"net\" is not a namespace"},
    {OCI_LINUX("'namespaces':[{'type':'pid'},{'type':'ipc'},{'type':'pid'}]"),
        "config.json: linux.namespaces[2].type: \"pid\" is listed twice"},
    {OCI_LINUX("'namespaces':[{'type':'pid','path':'proc'}]"),
        "config.json: linux.namespaces[0].path: \"proc\" is not an absolute path"},
    {OCI_LINUX("'uidMappings':[{'containerID':0,'hostID':0,'size':0}]"),
        "config.json: linux.uidMappings[0].size: 0 is not between 1 and 4294967295"},
    {OCI_LINUX("'uidMappings':[{'containerID':0,'hostID':4294967295,'size':2}]"),
        "config.json: linux.uidMappings[0]: reaches beyond the last id"},
    {OCI_LINUX("'uidMappings':[{'containerID':0,'hostID':0,'size':2}]"),
        "config.json: linux: uidMappings and gidMappings are needed together"},
    {OCI_LINUX("'sysctl':{'../../etc/passwd':'x'}"),
        "config.json: linux.sysctl: \"../../etc/passwd\" is not a kernel parameter"},
    {OCI_LINUX("'sysctl':{'a.b':1}"), "config.json: linux.sysctl[\"a.b\"]: must be a string"},
    {OCI_LINUX("'devices':[{'path':'/dev/x','type':'c','major':1}]"),
        "config.json: linux.devices[0]: major and minor are needed for a device of type c"},
    {OCI_LINUX("'devices':[{'path':'/dev/x','type':'d'}]"),
        "config.json: linux.devices[0].type: \"d\" is not a type of device"},
    {OCI_LINUX("'rootfsPropagation':'both'"),
        "config.json: linux.rootfsPropagation: \"both\" is not a mount propagation"},
    {OCI_LINUX("'maskedPaths':['/a','b\\n\\u007f']"),
        "config.json: linux.maskedPaths[1]: \"b??\" is not an absolute path"},
    {OCI_LINUX("'intelRdt':{'closID':'x'}"),
        "config.json: linux.intelRdt: a virtual machine has no cache and bandwidth allocation"},
    {OCI_LINUX("'timeOffsets':{'monotonic':{'secs':1}}"),
        "config.json: linux.timeOffsets: clock offsets are not supported"},
    {OCI_LINUX("'personality':{'domain':'LINUX','flags':['x']}"),
        "config.json: linux.personality.flags: flags of a personality are not supported"},

    /* resources */
    {RESOURCES("'memory':{'limit':-2}"),
        "config.json: linux.resources.memory.limit: -2 is not between -1 and 9223372036854775807"},
    {RESOURCES("'memory':{'limit':9223372036854775808}"),
        "config.json: linux.resources.memory.limit: 9223372036854775808 is more than 9223372036854775807"},
    {RESOURCES("'cpu':{'cpus':'all'}"),
        "config.json: linux.resources.cpu.cpus: \"all\" is not a list like 0-3,7"},
    {RESOURCES("'devices':[{'type':'c'}]"), "config.json: linux.resources.devices[0].allow: is missing"},
    {RESOURCES("'devices':[{'allow':true,'access':'rx'}]"),
        "config.json: linux.resources.devices[0].access: \"rx\" is not made of r, w and m"},
    {RESOURCES("'blockIO':{'weight':1001}"),
        "config.json: linux.resources.blockIO.weight: 1001 is not between 0 and 1000"},
    {RESOURCES("'hugepageLimits':[{'pageSize':'2M','limit':1}]"),
        "config.json: linux.resources.hugepageLimits[0].pageSize: \"2M\" is not a page size like 2MB"},
    {RESOURCES("'unified':{'../memory.max':'1'}"),
        "config.json: linux.resources.unified: \"../memory.max\" is not a file of cgroup v2"},

    /* seccomp */
    {OCI_LINUX("'seccomp':{}"), "config.json: linux.seccomp.defaultAction: is missing"},
    {SECCOMP("'defaultErrnoRet':1"),
        "config.json: linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW returns no error number"},
    {SECCOMP("'architectures':['amd64']"),
        "config.json: linux.seccomp.architectures[0]: \"amd64\" is not an architecture of seccomp"},
    {SECCOMP("'flags':['x']"), "config.json: linux.seccomp.flags[0]: \"x\" is not a flag of seccomp"},
    {SECCOMP("'syscalls':[{'names':[],'action':'SCMP_ACT_LOG'}]"),
        "config.json: linux.seccomp.syscalls[0].names: must have at least one element"},
    {SECCOMP("'syscalls':[{'names':[''],'action':'SCMP_ACT_LOG'}]"),
        "config.json: linux.seccomp.syscalls[0].names[0]: \"\" is empty"},
    {SYSCALL("'action':'SCMP_ACT_NOTIFY'"),
        "config.json: linux.seccomp.syscalls[0].action: \"SCMP_ACT_NOTIFY\" is not a supported action"},
    {SYSCALL("'action':'SCMP_ACT_ERRNO','errnoRet':4096"),
        "config.json: linux.seccomp.syscalls[0].errnoRet: 4096 is not between 0 and 4095"},
    {SYSCALL("'action':'SCMP_ACT_LOG','args':[{'index':6,'value':0,'op':'SCMP_CMP_EQ'}]"),
        "config.json: linux.seccomp.syscalls[0].args[0].index: 6 is not between 0 and 5"},
    {SYSCALL("'action':'SCMP_ACT_LOG','args':[{'index':0,'value':0,'op':'=='}]"),
        "config.json: linux.seccomp.syscalls[0].args[0].op: \"==\" is not a comparison"},
};

static void assert_refused(const char *text, size_t length, const char *sentence)
{
    Grpc__Spec *spec = NULL;
    _cleanup_error_ struct error *error = oci_config_parse(text, length, &spec);

    if (!error)
        fail_msg("accepted, where this was expected: %s", sentence);
    assert_string_equal(error_message(error), sentence);
    assert_int_equal(error_code(error), ERROR_INVALID_ARGUMENT);
    assert_null(spec);
}

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
        _cleanup_free_ char *text = oci_unquote(refusals[i].document);
        assert_refused(text, strlen(text), refusals[i].sentence);
    }
}

static void test_places_name_the_other_documents(void **state)
{
    Grpc__Process *process = NULL;
    Grpc__LinuxResources *resources = NULL;
    _cleanup_error_ struct error *process_error = oci_process_parse("{\"args\":[1]}", 12, &process);
    _cleanup_error_ struct error *resources_error = oci_resources_parse("{\"cpu\":[]}", 10, &resources);

    assert_string_equal(error_message(process_error), "process: args[0]: must be a string");
    assert_string_equal(error_message(resources_error), "resources: cpu: must be an object");
}

static void test_long_text_is_quoted_in_part(void **state)
{
    char directory[200];

    memset(directory, 'x', sizeof(directory) - 1);
    directory[sizeof(directory) - 1] = '\0';
    _cleanup_free_ char *quoted = must_printf(OCI_PROCESS("'args':['sh'],'cwd':'%s'"), directory);
    _cleanup_free_ char *text = oci_unquote(quoted);
    _cleanup_free_ char *sentence =
        must_printf("config.json: process.cwd: \"%.80s...\" is not an absolute path", directory);
    assert_refused(text, strlen(text), sentence);
}

static void test_sizes_are_bounded(void **state)
{
    size_t many = OCI_ELEMENTS_MAX + 1;
    _cleanup_free_ char *elements = must_alloc(many * 2);
    _cleanup_free_ char *huge = must_alloc(OCI_DOCUMENT_MAX + 2);

    for (size_t i = 0; i < many; i++)
        memcpy(elements + 2 * i, "0,", 2);
    elements[many * 2 - 1] = '\0';
    _cleanup_free_ char *quoted =
        must_printf(OCI_PROCESS("'cwd':'/','args':['sh'],'user':{'additionalGids':[%s]}"), elements);
    _cleanup_free_ char *text = oci_unquote(quoted);
    assert_refused(
        text, strlen(text), "config.json: process.user.additionalGids: has more than 65536 elements");

    memset(huge, ' ', OCI_DOCUMENT_MAX + 1);
    assert_refused(huge, OCI_DOCUMENT_MAX + 1, "config.json: is longer than 4194304 bytes");
}

/* Whatever part of a document was written when the disk was full. */
static void test_every_cut_is_refused(void **state)
{
    _cleanup_free_ char *text = oci_unquote(oci_full_document);

    for (size_t length = 0; length < strlen(text); length++) {
        Grpc__Spec *spec = NULL;
        _cleanup_error_ struct error *error = oci_config_parse(text, length, &spec);
        assert_non_null(error);
        assert_null(spec);
    }
}

/* ---- the tables ---- */

static void check_member(const struct oci_shape *shape, const struct oci_member *member)
{
    if (member->refused) {
        assert_null(member->field);
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(shape->descriptor, member->field);
    if (!field)
        fail_msg("%s has no field %s", shape->descriptor->name, member->field);
    bool is_map = field->descriptor == &grpc__string_entry__descriptor;
    bool is_object = field->type == PROTOBUF_C_TYPE_MESSAGE && !is_map;
    assert_int_equal(is_object, member->shape != NULL);
    if (is_object)
        assert_ptr_equal(member->shape->descriptor, field->descriptor);
    if (member->rule)
        assert_true(field->type == PROTOBUF_C_TYPE_STRING || is_map);
}

static bool is_filled(const struct oci_shape *shape, const char *field)
{
    for (size_t i = 0; i < shape->member_count; i++)
        if (shape->members[i].field && strcmp(shape->members[i].field, field) == 0)
            return true;
    return false;
}

static void check_shape(const struct oci_shape *shape)
{
    static const char *const other_platforms[] = {"solaris", "windows", "intel_rdt", NULL};

    for (size_t i = 0; i < shape->member_count; i++) {
        check_member(shape, &shape->members[i]);
        if (shape->members[i].shape)
            check_shape(shape->members[i].shape);
    }
    for (unsigned i = 0; i < shape->descriptor->n_fields; i++) {
        const char *field = shape->descriptor->fields[i].name;
        if (!is_filled(shape, field) && !oci_is_one_of(field, other_platforms))
            fail_msg("nothing fills %s of %s", field, shape->descriptor->name);
    }
}

static void test_tables_fit_the_messages(void **state)
{
    check_shape(&oci_spec_shape);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_places_name_the_other_documents),
        cmocka_unit_test(test_long_text_is_quoted_in_part),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_tables_fit_the_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
