/* SPDX-License-Identifier: Apache-2.0 */
/* config.json for tests, written with ' for " so that it can be read in C. */
#pragma once

#include "base/memory.h"

#include <string.h>

/* A document that has all it needs, and MEMBERS, which begin with a comma. */
#define OCI_SPEC(members) \
    "{'ociVersion':'1.0.2','process':{'cwd':'/','args':['sh']},'root':{'path':'rootfs'}" members "}"
/* The same with members of the process or of the linux section. */
#define OCI_PROCESS(members) "{'ociVersion':'1.0.2','root':{'path':'rootfs'},'process':{" members "}}"
#define OCI_LINUX(members) OCI_SPEC(",'linux':{" members "}")

static inline char *oci_unquote(const char *quoted)
{
    char *text = must_copy(quoted);
    for (char *at = text; (at = strchr(at, '\''));)
        *at = '"';
    return text;
}

/* Every member that is carried to the guest occurs once. */
static const char oci_full_document[] =
    "{'ociVersion':'1.2.0','hostname':'host','domainname':'domain',"
    "'root':{'path':'rootfs','readonly':true},"
    "'process':{'terminal':true,'consoleSize':{'height':25,'width':80},'cwd':'/root',"
    " 'user':{'uid':1000,'gid':1000,'umask':18,'additionalGids':[5,4294967295],'username':'me'},"
    " 'args':['sh','-c','echo','','\xc3\xa4'],'env':['PATH=/bin','EMPTY='],"
    " 'capabilities':{'bounding':['CAP_CHOWN','CAP_NEXT_YEAR'],'effective':['CAP_CHOWN'],"
    "  'inheritable':['CAP_CHOWN'],'permitted':['CAP_CHOWN'],'ambient':['CAP_CHOWN']},"
    " 'rlimits':[{'type':'RLIMIT_NOFILE','hard':2048,'soft':1024},"
    "  {'type':'RLIMIT_MEMLOCK','hard':18446744073709551615,'soft':9223372036854775808}],"
    " 'noNewPrivileges':true,'apparmorProfile':'confined','selinuxLabel':'label','oomScoreAdj':-500,"
    " 'ioPriority':{'class':'IOPRIO_CLASS_IDLE','priority':4}},"
    "'mounts':[{'destination':'/proc','type':'proc','source':'proc'},"
    " {'destination':'relative','type':'none','source':'/from','options':['rbind','ro']}],"
    "'hooks':{'prestart':[{'path':'/hook'}],'poststart':[{'path':'/hook'}],'poststop':[{'path':'/hook'}],"
    " 'createRuntime':[{'path':'/hook','args':['hook','x'],'env':['A=b'],'timeout':5}],"
    " 'createContainer':[{'path':'/hook'}],'startContainer':[{'path':'/hook'}]},"
    "'annotations':{'a.b/c':'value','empty':''},"
    "'linux':{'uidMappings':[{'containerID':0,'hostID':1,'size':4294967295}],"
    " 'gidMappings':[{'containerID':0,'hostID':1000,'size':10}],"
    " 'sysctl':{'net.ipv4.ip_forward':'1'},'cgroupsPath':'/group',"
    " 'namespaces':[{'type':'pid'},{'type':'network','path':'/proc/1/ns/net'},{'type':'time'}],"
    " 'devices':[{'path':'/dev/fuse','type':'c','major':10,'minor':229,'uid':1,'gid':2},"
    "  {'path':'/run/pipe','type':'p','fileMode':384}],"
    " 'rootfsPropagation':'rslave','maskedPaths':['/proc/kcore'],'readonlyPaths':['/proc/sys'],"
    " 'mountLabel':'label','personality':{'domain':'LINUX32'},"
    " 'resources':{'devices':[{'allow':false,'access':'rwm'},"
    "   {'allow':true,'type':'c','major':10,'minor':229,'access':'rw'}],"
    "  'memory':{'limit':536870912,'reservation':1048576,'swap':-1,'kernel':-1,'kernelTCP':-1,"
    "   'swappiness':60,'disableOOMKiller':true},"
    "  'cpu':{'shares':1024,'quota':150000,'burst':20000,'period':100000,'realtimeRuntime':950000,"
    "   'realtimePeriod':1000000,'cpus':'0-3,7','mems':'0','idle':1},"
    "  'pids':{'limit':100},"
    "  'blockIO':{'weight':10,'leafWeight':10,"
    "   'weightDevice':[{'major':8,'minor':0,'weight':500,'leafWeight':300}],"
    "   'throttleReadBpsDevice':[{'major':8,'minor':0,'rate':600}],"
    "   'throttleWriteBpsDevice':[{'major':8,'minor':0,'rate':500}],"
    "   'throttleReadIOPSDevice':[{'major':8,'minor':0,'rate':400}],"
    "   'throttleWriteIOPSDevice':[{'major':8,'minor':16,'rate':300}]},"
    "  'hugepageLimits':[{'pageSize':'2MB','limit':209715200}],"
    "  'network':{'classID':1048577,'priorities':[{'name':'eth0','priority':500}]},"
    "  'unified':{'memory.high':'max'}},"
    " 'seccomp':{'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,"
    "  'architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_X86'],'flags':['SECCOMP_FILTER_FLAG_LOG'],"
    "  'syscalls':[{'names':['read','write'],'action':'SCMP_ACT_ALLOW'},"
    "   {'names':['clone'],'action':'SCMP_ACT_ALLOW',"
    "    'args':[{'index':0,'value':2114060288,'valueTwo':0,'op':'SCMP_CMP_MASKED_EQ'}]},"
    "   {'names':['clone3'],'action':'SCMP_ACT_ERRNO','errnoRet':0}]}}}";
